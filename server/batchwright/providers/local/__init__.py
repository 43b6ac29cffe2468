"""The local engine: OpenAI's Files and Batch API in this process, over any endpoint or the embedded model."""

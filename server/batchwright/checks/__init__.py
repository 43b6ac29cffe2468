"""What the Batch API and OpenAI's models refuse, judged before anything is sent."""

"""The prompts: guides through the common jobs."""

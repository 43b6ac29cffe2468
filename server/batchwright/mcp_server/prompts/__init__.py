"""The prompts: each walks an assistant through a common job."""

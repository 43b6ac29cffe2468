"""What an assistant sees: tools, views, resources, prompts, tasks, HTTP and the dashboard."""

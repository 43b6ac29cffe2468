"""The embedded models, each in a process of its own."""

"""The tools, a module a group."""

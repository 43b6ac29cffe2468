"""What the tools answer, a module a group."""

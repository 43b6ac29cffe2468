"""A recipe and rows to the lines and parts of batch files."""

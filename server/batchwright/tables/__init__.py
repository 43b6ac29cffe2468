"""Rows in and out, through DuckDB. Synchronous: its callers run it in a worker thread."""

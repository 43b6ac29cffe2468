"""Why rows have no good answer, and what helps: pure, and data before code."""

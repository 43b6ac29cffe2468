"""A few rows sent at once, and what they say of the whole."""

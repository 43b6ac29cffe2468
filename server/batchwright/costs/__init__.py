"""Tokens, prices, comparisons, and what may be spent."""

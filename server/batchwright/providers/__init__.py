"""Whoever runs batches, behind one protocol."""

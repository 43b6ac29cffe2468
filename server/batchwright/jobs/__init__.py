"""The use cases: what may be done with a job from its draft to its results."""

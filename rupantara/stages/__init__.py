"""Callables over Arrow batches: what Ray Data maps, each testable by calling it."""

"""Metrics as update -> mergeable float64 sums -> compute."""

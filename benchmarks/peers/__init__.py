"""Servers that `benchmarks.serve_peers` measures ours against: the same chain, each framework in its usual way."""

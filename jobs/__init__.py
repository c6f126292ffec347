"""Command-line jobs on Ray: `python -m jobs.NAME`; they meet only in tables and checkpoints."""

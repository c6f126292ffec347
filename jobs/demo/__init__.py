"""The whole way in one command: `python -m jobs.demo`."""

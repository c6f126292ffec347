"""Generate pictures in bulk: `python -m jobs.generate child|hybrid|inversion|variation …`; each kind is a file of this folder."""

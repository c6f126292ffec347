"""Evaluate models and pictures on held-out people: `python -m jobs.evaluate`; each kind of evaluation is a file of this folder."""

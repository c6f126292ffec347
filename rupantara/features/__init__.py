"""Extractors: faces to vectors and other columns of the features table."""

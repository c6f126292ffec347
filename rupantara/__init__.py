"""Faces in, hybrids and cross-species analyses out: the library, without Ray, command line or environment."""

__version__ = "0.1.0"

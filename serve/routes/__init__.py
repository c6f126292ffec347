"""Routes: one a file."""

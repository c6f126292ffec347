"""Finding faces in photographs, measuring them, and reading them back from tables."""

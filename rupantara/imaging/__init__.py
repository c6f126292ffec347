"""Decode and encode pictures, and measure them."""

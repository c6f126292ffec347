"""Actors of the bank: plain classes, and the clients that alone speak `.remote`."""

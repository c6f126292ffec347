"""Networks, one a file, single-device."""

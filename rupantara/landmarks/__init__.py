"""Where a face is: detection, 68 points, alignment and the five regions."""

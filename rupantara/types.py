"""Array aliases with shape, range and order, said once (numpy; the torch ones are in `rupantara.tensors`)."""

import numpy as np
from jaxtyping import Float, UInt8

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB, 0..255, one photograph or crop."""

Pictures = UInt8[np.ndarray, "batch height width 3"]
"""RGB, 0..255."""

Gray = UInt8[np.ndarray, "height width"]
"""Luma, 0..255."""

Points = Float[np.ndarray, "points 2"]
"""x y in pixels, origin at the top left corner of the top left pixel's centre."""

Keypoints = Float[np.ndarray, "5 2"]
"""x y px: left-in-image eye, right-in-image eye, nose tip, left and right mouth corner (YuNet, ArcFace order)."""

SixPoints = Float[np.ndarray, "6 2"]
"""x y px of an animal's head, NaN where hidden: left-in-image and right-in-image eye, nose pad, mouth, left and right ear tip."""

Landmarks = Float[np.ndarray, "68 2"]
"""x y px, iBUG 300-W order."""

Similarity = Float[np.ndarray, "2 3"]
"""A similarity transform source px -> crop px, as OpenCV takes it."""

Boxes = Float[np.ndarray, "6 4"]
"""x0 y0 x1 y1 of the six region parts as fractions of the crop, in the order of `landmarks.regions.PARTS`."""

Vectors = Float[np.ndarray, "rows dim"]
"""float32 row vectors."""

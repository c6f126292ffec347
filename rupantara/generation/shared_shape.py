"""Two faces carried to one shape before their codes are blended: a mean of codes is much like a mean of pictures, and would show two
outlines."""

import cv2
import numpy as np

from rupantara.generation.face import FaceCrop
from rupantara.landmarks import spline
from rupantara.landmarks.morph import frame_points
from rupantara.types import Landmarks, Picture


def in_one_shape(first: FaceCrop, second: FaceCrop, share: float) -> tuple[FaceCrop, FaceCrop]:
    """Carry both faces' pictures to `share` of the first's landmarks and the rest of the second's; surroundings follow.

    Without landmarks, or with some that determine no warp, both stay as they are.
    """
    if first.shape is None or second.shape is None:
        return first, second
    goal = share * first.shape + (1 - share) * second.shape
    try:
        return _carried(first, goal), _carried(second, goal)
    except spline.DegenerateError:
        return first, second


def _carried(face: FaceCrop, goal: Landmarks) -> FaceCrop:
    """Warp a face by the spline that takes its landmarks to others, fractions of the crop; the crop's border stays."""
    assert face.landmarks is not None
    picture: Picture = face.picture
    height, width = picture.shape[:2]
    frame = frame_points(width, height)
    points = (goal * width - 0.5).astype(np.float32)
    target, source = (np.concatenate([part, frame]) for part in (points, face.landmarks))
    across, down = spline.flow(target, source, height=height, width=width)[0]
    warped = cv2.remap(picture, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return FaceCrop.of(face.face_id, warped, points)

"""What can be judged of an aligned face, as the numbers of `quality`; null where nothing here can judge it."""

from rupantara import schema
from rupantara.faces import openness
from rupantara.imaging import quality
from rupantara.landmarks import align, pose
from rupantara.types import Keypoints, Landmarks, SixPoints

ANIMALS_PROTRUSION = 0.9
"""How far an animal's nose stands out, in the distance between its eyes: a person's 0.5 and its muzzle."""


def measure(
    aligned: align.Aligned, keypoints: Keypoints, landmarks: Landmarks | None, points: SixPoints | None = None
) -> dict[str, float | None]:
    """Measure a crop and its points, which are in pixels of the photograph (`001_…`, section 5.2); `points` are an animal's.

    Pose comes from the 68 points by solvePnP where there are some, else yaw and roll from the keypoints.
    """
    gray = quality.to_gray(aligned.crop)
    measured: dict[str, float | None] = dict.fromkeys(schema.QUALITY_FIELDS)
    measured |= {
        "sharpness": quality.sharpness(gray),
        "chroma": quality.chroma(aligned.crop),
        "brightness": quality.brightness(gray),
        "coverage": aligned.coverage,
        "interocular_px": align.interocular(keypoints),
        "yaw": align.yaw_degrees(keypoints),
        "roll": align.roll_degrees(keypoints),
    }
    found = None if landmarks is None else pose.head_pose(landmarks)
    if found is not None:
        measured |= {"yaw": found.yaw, "pitch": found.pitch, "roll": found.roll}
    if landmarks is not None:
        measured["expression"] = pose.mouth_expression(landmarks)
        measured |= {"eye_openness": openness.eyes_of_68(landmarks), "mouth_openness": openness.mouth_of_68(landmarks)}
    if points is not None:
        carried = align.transform_points(points, aligned.transform)
        measured |= {
            "yaw": align.yaw_degrees(keypoints, ANIMALS_PROTRUSION),
            "eye_openness": openness.eyes_of_animal(aligned.crop, carried),
            "mouth_openness": openness.mouth_of_six(points),
        }
    return measured

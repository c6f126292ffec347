"""A morph at 256 x 256 on one thread against face_morpher's two warps and cv2.seamlessClone (its own blend fails on today's SciPy).

pip install --no-deps --target FOLDER facemorpher; python -m benchmarks.morph --face-morpher FOLDER
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from rupantara.imaging.poisson import bounding_box
from rupantara.landmarks import align
from rupantara.landmarks.morph import frame_points, hull_mask, morph
from rupantara.landmarks.points import keypoints_from
from rupantara.synthetic import draw_face

SIZE, PAIRS = 256, 24


def faces():
    """Draw aligned faces with exact landmarks."""
    made = []
    for i in range(PAIRS + 1):
        face = draw_face("human", i)
        aligned = align.align(face.image, keypoints_from(face.landmarks), "human", SIZE)
        made.append((aligned.crop, align.transform_points(face.landmarks, aligned.transform).astype(np.float64)))
    return made


def peer_morph(warper, first, second):
    """Warp both faces to the mean points, average, and clone, with face_morpher's warp."""
    mean = np.round((first[1] + second[1]) / 2).astype(np.int32)
    frame = frame_points(SIZE, SIZE).astype(np.int32)
    # Its bilinear lookup reads one pixel further, so its points stay inside.
    target = np.clip(np.concatenate([mean, frame]), 0, SIZE - 2)
    warped = []
    for picture, points in (first, second):
        source = np.clip(np.concatenate([points, frame]), 0, SIZE - 2)
        warped.append(warper.warp_image(picture, source, target, (SIZE, SIZE)))
    texture = cv2.addWeighted(warped[0], 0.5, warped[1], 0.5, 0)
    mask = hull_mask(mean.astype(np.float32), SIZE, SIZE)
    x, y, width, height = bounding_box(mask)
    return cv2.seamlessClone(texture, warped[0], mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)


def milliseconds(function, pairs):
    """Return the median time over the pairs, after one to warm up."""
    function(*pairs[0])
    times = []
    for pair in pairs:
        started = time.perf_counter()
        function(*pair)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--face-morpher", required=True, help="folder that facemorpher was installed to")
    args = parser.parse_args()
    spec = importlib.util.spec_from_file_location("warper", Path(args.face_morpher) / "facemorpher/warper.py")
    warper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(warper)
    cv2.setNumThreads(1)
    drawn = faces()
    pairs = list(itertools.pairwise(drawn))
    ours = milliseconds(lambda a, b: morph(*a, *b, alpha=0.5, size=SIZE), pairs)
    peer = milliseconds(lambda a, b: peer_morph(warper, a, b), pairs)
    result = {"ours_ms": round(ours, 2), "face_morpher_ms": round(peer, 2), "ratio": round(peer / ours, 2)}
    print(json.dumps(result))
    Path(__file__).with_name("morph.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

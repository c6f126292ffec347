"""Each post-processing filter at 256 x 256 on one thread against a peer: a plain OpenCV dehaze, the bare OpenCV calls, HSV saturation.

python -m benchmarks.enhance
"""

import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from rupantara.faces.arrays import to_images
from rupantara.imaging import codec
from rupantara.imaging.degrade import Cast
from rupantara.imaging.dehaze import Dehaze
from rupantara.imaging.detail import Bilateral, Unsharp
from rupantara.imaging.tone import Tone
from rupantara.metrics.image import image_errors
from rupantara.metrics.pictures import picture_errors
from rupantara.synthetic import draw_face

SIZE, COUNT, ROUNDS = 256, 32, 9


def box(plane, radius):
    return cv2.boxFilter(plane, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1))


def opencv_dehaze(picture, omega=0.95, patch=15, radius=20, epsilon=1e-3, floor=0.1):
    """The published equations as they are written, in OpenCV and NumPy on float32, with a grey guided filter."""
    image = picture.astype(np.float32) / 255
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (patch, patch))
    dark = cv2.erode(cv2.min(cv2.min(image[..., 0], image[..., 1]), image[..., 2]), kernel)
    brightest = np.argpartition(dark.ravel(), -65)[-65:]
    candidates = image.reshape(-1, 3)[brightest]
    light = candidates[candidates.sum(axis=1).argmax()]
    scaled = image / light
    raw = 1 - omega * cv2.erode(cv2.min(cv2.min(scaled[..., 0], scaled[..., 1]), scaled[..., 2]), kernel)
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean_guide, mean_raw = box(guide, radius), box(raw, radius)
    a = (box(guide * raw, radius) - mean_guide * mean_raw) / (box(guide * guide, radius) - mean_guide**2 + epsilon)
    b = mean_raw - a * mean_guide
    t = np.maximum(box(a, radius) * guide + box(b, radius), floor)
    return np.clip(np.rint(255 * ((image - light) / t[..., None] + light)), 0, 255).astype(np.uint8)


def hsv_saturation(picture, factor=1.3):
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)
    return cv2.cvtColor(cv2.merge([hue, cv2.convertScaleAbs(saturation, alpha=factor), value]), cv2.COLOR_HSV2RGB)


def unsharp(picture, amount=0.6, sigma=1.5):
    return cv2.addWeighted(picture, 1 + amount, cv2.GaussianBlur(picture, (0, 0), sigma), -amount, 0)


def each(function):
    return lambda pictures: np.stack([function(picture) for picture in pictures])


def tensor_errors(pictures, sources):
    return image_errors(to_images(pictures), to_images(sources))


def milliseconds(functions, *arguments):
    """Return the median time a picture of each function, the functions in turn."""
    times = [[] for _ in functions]
    for _ in range(ROUNDS + 1):
        for function, taken in zip(functions, times, strict=True):
            started = time.perf_counter()
            function(*arguments)
            taken.append(1e3 * (time.perf_counter() - started) / COUNT)
    return [statistics.median(taken[1:]) for taken in times]


def main():
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    drawn = np.stack([codec.resize(draw_face("human", i).image, SIZE) for i in range(COUNT)])
    hazy = Cast(0.3)(drawn)
    pairs = {
        "dehaze": (Dehaze(), each(opencv_dehaze), "the equations as written, OpenCV float32"),
        "bilateral": (
            Bilateral(),
            each(lambda picture: cv2.bilateralFilter(picture, 5, 25, 2)),
            "cv2.bilateralFilter",
        ),
        "unsharp": (Unsharp(), each(unsharp), "cv2.GaussianBlur and addWeighted"),
        "saturation": (Tone(1.3, 1), each(hsv_saturation), "through HSV"),
    }
    result = {}
    for name, (ours, peer, what) in pairs.items():
        mine, theirs = milliseconds([ours, peer], hazy)
        result[name] = {"ours_ms": round(mine, 3), "peer": what, "peer_ms": round(theirs, 3)}
        result[name]["ratio"] = round(theirs / mine, 2)
    mine, theirs = milliseconds([picture_errors, tensor_errors], hazy, drawn)
    errors = {"ours_ms": round(mine, 3), "peer": "torchmetrics", "peer_ms": round(theirs, 3)}
    result["errors"] = errors | {"ratio": round(theirs / mine, 2)}
    difference = np.abs(Dehaze()(hazy).astype(int) - each(opencv_dehaze)(hazy))
    result["dehaze"]["mean_difference_levels"] = round(float(difference.mean()), 3)
    print(json.dumps(result, indent=1))
    Path(__file__).with_name("enhance.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

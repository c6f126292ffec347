"""The spline warp of a batch of 16 at 224², 68 points, in one run, against kornia, scipy + OpenCV, and plain dense torch.

    python -m benchmarks.spline_warp [--threads 2] [--kornia FOLDER]

kornia is no dependency: `pip install --no-deps --target FOLDER kornia kornia_rs`, else it is left out. The rounds go through all
contestants in turn, since a machine drifts, and each counts with its best round. All but kornia (which knows only the
thin-plate kernel) give the same pictures, which is checked; the error of the coarse path is that of the same faces.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from torch.nn import functional as F

from rupantara.landmarks import align, spline
from rupantara.landmarks.points import keypoints_from
from rupantara.models.spline_warp import flow, warp
from rupantara.synthetic import draw_face

SIZE, BATCH, STRIDE = 224, 16, 4


def faces():
    """Draw aligned faces: pictures, their landmarks (the source) and the next face's (the target), none repeated."""
    drawn = []
    for i in range(BATCH):
        face = draw_face("human", i)
        aligned = align.align(face.image, keypoints_from(face.landmarks), "human", SIZE)
        drawn.append((aligned.crop, align.transform_points(face.landmarks, aligned.transform)))
    pictures, points = (np.stack(of) for of in zip(*drawn, strict=True))
    source = torch.from_numpy(points.astype(np.float32))
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images.contiguous(), source, source.roll(1, dims=0)


def sample(images, at):
    """Read images at px [batch, height, width, 2], the plain way."""
    side = at.new_tensor([images.shape[-1], images.shape[-2]])
    return F.grid_sample(images, (2 * at + 1) / side - 1, padding_mode="border", align_corners=False)


def plain(images, source, target):
    """Warp as one would write it down: all distances at once, (batch, pixels, points), an epsilon under the root."""

    def distances(one, other):
        return ((one[:, :, None] - other[:, None]).square().sum(-1) + 1e-12).sqrt()

    linear = F.pad(target, (0, 1), value=1.0)
    system = torch.cat([distances(target, target), linear], dim=2)
    system = torch.cat([system, F.pad(linear.transpose(1, 2), (0, 3))], dim=1)
    weights = torch.linalg.solve(system, F.pad(source, (0, 0, 0, 3)))
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(1, -1, 2).to(target)
    # Not `distances`: its (batch, pixels, points, 2) would make a straw man of 0.9 GB.
    squared = sum((pixels[:, :, None, i] - target[:, None, :, i]).square() for i in (0, 1))
    basis = torch.cat([(squared + 1e-12).sqrt(), F.pad(pixels, (0, 1), value=1.0).expand(len(target), -1, -1)], dim=2)
    return sample(images, (basis @ weights).unflatten(1, (SIZE, SIZE)))


def plain_cdist(images, source, target):
    """Warp the plain way with `torch.cdist`, which is safe at zero by itself."""
    linear = F.pad(target, (0, 1), value=1.0)
    exact = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    system = torch.cat(
        [torch.cat([exact(target, target), linear], dim=2), F.pad(linear.transpose(1, 2), (0, 3))], dim=1
    )
    weights = torch.linalg.solve(system, F.pad(source, (0, 0, 0, 3)))
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(1, -1, 2).to(target).expand(len(target), -1, -1)
    basis = torch.cat([exact(pixels, target), F.pad(pixels, (0, 1), value=1.0)], dim=2)
    return sample(images, (basis @ weights).unflatten(1, (SIZE, SIZE)))


def scipy_and_remap(images, source, target):
    """Warp picture by picture with scipy's spline and OpenCV's remap."""
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).reshape(-1, 2).astype(float)
    warped = []
    for image, of, to in zip(images.permute(0, 2, 3, 1).numpy(), source.numpy(), target.numpy(), strict=True):
        at = RBFInterpolator(to, of, kernel="linear", degree=1)(grid).reshape(SIZE, SIZE, 2).astype(np.float32)
        warped.append(cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return torch.from_numpy(np.stack(warped)).permute(0, 3, 1, 2)


def numpy_and_remap(images, source, target):
    """Warp picture by picture as the augmentation does: `landmarks.spline` and OpenCV's remap."""
    warped = []
    for image, of, to in zip(images.permute(0, 2, 3, 1).numpy(), source.numpy(), target.numpy(), strict=True):
        (x, y), *_ = spline.flow(to, of, height=SIZE, width=SIZE)
        warped.append(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return torch.from_numpy(np.stack(warped)).permute(0, 3, 1, 2)


def kornia_warp(folder):
    """Return kornia's thin-plate warp, or None where it is not."""
    if folder:
        sys.path.append(folder)
    try:
        from kornia.geometry.transform import get_tps_transform, warp_image_tps
    except ImportError:
        return None

    def thin_plate(images, source, target):
        of, to = ((2 * points + 1) / SIZE - 1 for points in (source, target))
        return warp_image_tps(images, of, *get_tps_transform(to, of), padding_mode="border")

    return thin_plate


def forward(function, inputs):
    with torch.no_grad():
        return function(*inputs)


def forward_backward(function, inputs):
    """Warp and take the gradients by the images and both point sets."""
    leaves = [one.detach().requires_grad_() for one in inputs]
    return torch.autograd.grad(function(*leaves).square().mean(), leaves)


def race(contestants, rounds, clock):
    """Return the best time of each in ms, all taken in turn, after one round to warm up."""
    best = dict.fromkeys(contestants, float("inf"))
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            started = clock()
            run()
            if turn:
                best[name] = min(best[name], 1e3 * (clock() - started))
    return {name: round(ms, 2) for name, ms in best.items()}


def coarse_error(source, target):
    """Return how far the flow on a coarse grid is off, px: mean, 99th percentile and worst."""
    exact, coarse = (flow(target, source, SIZE, SIZE, stride=stride) for stride in (1, STRIDE))
    off = torch.linalg.vector_norm(exact - coarse, dim=1).flatten().numpy()
    moved = torch.linalg.vector_norm(source - target, dim=2).mean()
    figures = {
        "mean": off.mean(),
        "percentile_99": np.percentile(off, 99),
        "worst": off.max(),
        "points_moved_by": moved,
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true", help="count the process's CPU time: for a busy machine")
    parser.add_argument("--kornia", help="folder that kornia was installed to")
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".json")))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    clock = time.process_time if args.cpu_time else time.perf_counter
    inputs = faces()
    source, target = inputs[1:]
    compiled = partial(warp, compiled=True)
    forwards = {
        "ours": warp,
        "ours_compiled": compiled,
        "ours_stride_4": partial(warp, stride=STRIDE),
        "ours_one_target": lambda i, s, t: warp(i, s, t[:1]),
        "numpy_remap": numpy_and_remap,
        "plain": plain,
        "scipy_remap": scipy_and_remap,
    }
    peer = kornia_warp(args.kornia)
    if peer:
        forwards["kornia"] = peer
    both = {name: forwards[name] for name in ("ours", "ours_compiled", "ours_stride_4", "plain")}
    both["plain_cdist"] = plain_cdist
    expected = forward(warp, inputs)
    for name in ("ours_compiled", "numpy_remap", "plain", "scipy_remap"):
        # OpenCV rounds positions to 1/32 px; the drawn faces have hard edges of up to 2.
        torch.testing.assert_close(forward(forwards[name], inputs), expected, atol=0.08, rtol=0)
    ms = race({name: partial(forward, of, inputs) for name, of in forwards.items()}, args.rounds, clock)
    ms_both = race({name: partial(forward_backward, of, inputs) for name, of in both.items()}, args.rounds, clock)
    against = {
        name: {peer: round(ms[peer] / ms[name], 1) for peer in ("kornia", "scipy_remap", "plain") if peer in ms}
        for name in ("ours", "ours_compiled")
    }
    dense = min(ms_both["plain"], ms_both["plain_cdist"])
    result = {
        "size": SIZE,
        "batch": BATCH,
        "points": source.shape[1],
        "threads": args.threads,
        "clock": clock.__name__,
        "forward_ms": ms,
        "forward_backward_ms": ms_both,
        "forward_ratio": against,
        "forward_backward_ratio": {name: round(dense / ms_both[name], 1) for name in ("ours", "ours_compiled")},
        "coarse_error_px": coarse_error(source, target),
    }
    print(json.dumps(result, indent=1))
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

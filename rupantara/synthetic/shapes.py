"""Shapes in face units: curves, outlines and tapers, as float arrays of points."""

import numpy as np
from numpy.typing import ArrayLike

Outline = np.ndarray
"""Float array [n, 2] of x (to the right), y (down)."""


def spline(points: ArrayLike, closed: bool = False, steps: int = 6) -> Outline:
    """Return a Catmull-Rom curve that passes exactly through `points`, with `steps` points a segment."""
    p = np.asarray(points, np.float64)
    padded = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = (np.arange(steps) / steps)[None, :, None]
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    curve = 0.5 * curve.reshape(-1, 2)
    return curve if closed else np.vstack([curve, p[-1:]])


def ellipse(center: ArrayLike, radii: tuple[float, float], angle: float = 0.0, num: int = 28) -> Outline:
    """Return an ellipse's outline; `angle` in radians, clockwise on screen."""
    t = np.linspace(0, 2 * np.pi, num, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1) + np.asarray(center)


def mirror(points: ArrayLike) -> Outline:
    """Reflect points left to right about x = 0, keeping their order."""
    return np.asarray(points, np.float64) * (-1.0, 1.0)


def both_sides(right_half: Outline) -> Outline:
    """Close a right half outline, given from top centre to bottom centre, with its mirror image."""
    right = np.asarray(right_half, np.float64)
    return np.vstack([right, mirror(right[-2:0:-1])])


def taper(path: Outline, width: float, blunt: float = 0.0) -> Outline:
    """Return a stroke's outline: `width` at mid-path, `blunt` times that at the start, a point at the end."""
    curve = spline(path)
    tangent = np.gradient(curve, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    t = np.linspace(0, 1, len(curve))[:, None]
    half = 0.5 * width * np.maximum(np.sin(np.pi * t), blunt * (1 - t))
    return np.vstack([curve + half * normal, (curve - half * normal)[::-1]])


def tufted(outline: Outline, rng: np.random.Generator, depth: float, num: int = 90) -> Outline:
    """Return `outline` resampled to `num` points and made ragged by about `depth`, as fur or hair."""
    closed = np.vstack([outline, outline[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = (np.arange(num) + rng.uniform(-0.45, 0.45, num)) % num * (length[-1] / num)
    points = np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)
    center = points.mean(axis=0)
    outwards = (points - center) / (np.linalg.norm(points - center, axis=1, keepdims=True) + 1e-9)
    zigzag = np.where(np.arange(num) % 2 == 0, 1.0, -1.0) * rng.uniform(0.0, 1.2, num)
    return points + depth * zigzag[:, None] * outwards


def scatter(outline: Outline, rng: np.random.Generator, num: int) -> Outline:
    """Return the random points inside `outline`, [n, 2], among `num` drawn evenly over its bounding box."""
    points = rng.uniform(outline.min(axis=0), outline.max(axis=0), (num, 2))
    (x, y), (x0, y0), (x1, y1) = points.T[:, :, None], outline.T, np.roll(outline, 1, axis=0).T
    straddles = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = straddles & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return points[crossed.sum(axis=1) % 2 == 1]

"""What surrounds a drawn face: its place in the picture, the background, the light and the grain."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.synthetic.canvas import View

MAX_ROLL = 0.22
MAX_YAW = 0.24
MAX_PITCH = 0.10


@dataclass(frozen=True)
class Light:
    """One directional light over an ambient one."""

    direction: tuple[float, float]
    """Where the light comes from, in the picture plane: x to the right, y down, at most 1 long."""
    contrast: float
    """Share of brightness that follows the light's direction."""
    tint: tuple[float, float, float]
    """RGB gain."""
    grain: float
    """Standard deviation of the noise, in grey levels."""


def random_view(rng: np.random.Generator, size: int, extent: float, middle: float, head: tuple[float, float]) -> View:
    """Draw a view: a head `extent` units high, centred `middle` below the eyes, fills 0.58 to 0.72 of the picture."""
    scale = size * rng.uniform(0.58, 0.72) / extent
    roll = float(np.clip(rng.normal(0, 0.1), -MAX_ROLL, MAX_ROLL))
    center = size * (np.array([0.5, 0.48]) + rng.uniform(-0.055, 0.055, 2))
    down = np.array([-np.sin(roll), np.cos(roll)])
    origin = center - middle * scale * down
    yaw, pitch = rng.uniform(-MAX_YAW, MAX_YAW), rng.uniform(-MAX_PITCH, MAX_PITCH)
    return View(float(scale), roll, (float(origin[0]), float(origin[1])), float(yaw), float(pitch), head)


def random_light(rng: np.random.Generator) -> Light:
    """Draw a light from above, from either side, warm or cold."""
    x, y = rng.uniform(-0.75, 0.75), rng.uniform(-0.65, -0.2)
    warmth = rng.uniform(-0.06, 0.06)
    gain = rng.uniform(0.9, 1.1)
    tint = (gain * (1 + warmth), gain, gain * (1 - warmth))
    return Light((float(x), float(y)), float(rng.uniform(0.2, 0.5)), tint, float(rng.uniform(1.5, 4.0)))


def random_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw an out-of-focus place: a gradient of related colours and a few soft discs, uint8 RGB [size, size, 3]."""
    base = rng.uniform(50, 200) + rng.uniform(-24, 24, 3)
    coarse = (
        base + rng.normal(0, 12, (3, 3, 1)) + rng.normal(0, 5, (3, 3, 3)) + np.linspace(18, -18, 3)[:, None, None]
    ).clip(0, 255)
    field = cv2.resize(coarse.astype(np.float32), (48, 48), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 7)):
        x, y, radius = rng.integers(0, 48), rng.integers(0, 48), rng.integers(3, 10)
        colour = (base + rng.normal(8, 18) + rng.normal(0, 9, 3)).clip(0, 255)
        cv2.circle(field, (int(x), int(y)), int(radius), colour.tolist(), -1, cv2.LINE_AA)
    field = cv2.GaussianBlur(field, (0, 0), rng.uniform(1.2, 3.0)).clip(0, 255)
    return cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def lit(picture: np.ndarray, view: View, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Return the float picture under `light`, the head taken as an ellipsoid, with grain, as uint8 RGB."""
    size = picture.shape[0]
    shade = cv2.resize(_shade(view, light, size), (size, size), interpolation=cv2.INTER_CUBIC)
    tile = rng.normal(0, light.grain, (size // 2, size)).astype(np.float32)
    grain = np.vstack([tile, tile[::-1, ::-1], tile[: size % 2]])
    gain = cv2.merge([shade * np.float32(tint) for tint in light.tint])
    return cv2.add(cv2.multiply(picture, gain), cv2.merge([grain] * 3), dtype=cv2.CV_8U)


def _shade(view: View, light: Light, size: int, num: int = 40) -> np.ndarray:
    """Return Lambert's brightness of the head's ellipsoid on a coarse grid; its edge's brightness goes on outside."""
    at = (np.arange(num) + 0.5) * size / num - 0.5
    x, y = np.meshgrid(at - view.origin_px[0], at - view.origin_px[1])
    cos, sin = np.cos(view.roll), np.sin(view.roll)
    u = (x * cos + y * sin) / (view.scale_px * view.head[0] * 1.15)
    v = (y * cos - x * sin) / (view.scale_px * view.head[1] * 1.15)
    radius = np.maximum(np.hypot(u, v), 1e-9)
    bend = np.minimum(radius, 1.0) / radius * 0.9
    u, v = u * bend, v * bend
    lx, ly = light.direction
    lambert = u * lx + v * ly + np.sqrt(1 - u**2 - v**2) * np.sqrt(max(0.0, 1 - lx**2 - ly**2))
    return (1 + light.contrast * (1.25 * lambert - 0.82)).astype(np.float32)

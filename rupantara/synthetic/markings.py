"""The patterns of an animal's fur, painted over the head before its features."""

from collections.abc import Callable

import numpy as np

from rupantara.synthetic.animal_traits import Animal
from rupantara.synthetic.canvas import Canvas, mix
from rupantara.synthetic.shapes import Outline, both_sides, ellipse, mirror, spline, taper, tufted


def paint_markings(canvas: Canvas, animal: Animal) -> None:
    """Paint the individual's markings in their order."""
    for name in animal.markings:
        if name in PAINTERS:
            PAINTERS[name](canvas, animal, np.random.default_rng([animal.pattern_seed, len(name)]))


def paint_mane(canvas: Canvas, animal: Animal) -> None:
    """Paint a lion's mane behind the head, in three ragged rings from dark to light."""
    rng = np.random.default_rng([animal.pattern_seed, 99])
    for grow, share in ((1.62, 0.0), (1.42, 0.3), (1.2, 0.55)):
        ring = tufted((animal.outline - (0, 0.2)) * (grow, 0.97 * grow), rng, 0.08, 130)
        canvas.fill(ring, mix(animal.dark, animal.base, share))
    angle = rng.uniform(0, 2 * np.pi, 260)
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    starts = ray * rng.uniform(1.0, 1.45, (260, 1)) + (0, 0.25)
    canvas.strokes(starts, starts + 0.38 * ray, rng, 0.28)


def _stripes(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Tiger: arches on the forehead, wedges from the cheeks inwards."""
    arches = [
        [(0.06, -0.42 - 0.2 * i), (0.3 + 0.05 * i, -0.5 - 0.19 * i), (0.66 + 0.06 * i, -0.36 - 0.16 * i)]
        for i in range(3)
    ]
    half = animal.outline[:, 0].max()
    wedges = []
    for i, y in enumerate(np.linspace(-0.35, 1.1, 6)):
        edge = half * (0.86 + 0.1 * np.sin(np.pi * (y + 0.35) / 1.45)) - max(0.0, y - 0.75) * 0.55
        reach = (0.34, 0.42, 0.5, 0.42, 0.46, 0.34)[i]
        wedges.append([(edge, y - 0.02), (edge - 0.5 * reach, y + 0.09), (edge - reach, y + 0.03)])
    flank = [(0.32, 0.3), (0.36, 0.5), (0.33, 0.68)]
    for path in [*arches, *wedges, flank]:
        for side in (1, -1):
            wobbled = (np.array(path) + rng.normal(0, 0.025, (3, 2))) * (side, 1)
            canvas.fill(taper(wobbled, rng.uniform(0.11, 0.16), 0.8 if path in wedges else 0.0), animal.dark)
    canvas.fill(taper(np.array([(0, -1.05), (0.01, -0.7), (0, -0.3)]), 0.11), animal.dark)


def _tabby(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Cat: an M on the forehead and lines on the cheeks, in faint contrast."""
    colour = mix(animal.dark, animal.base, 0.25)
    paths = [
        [(0.1, -0.92), (0.13, -0.62), (0.24, -0.32)],
        [(0.4, -0.88), (0.4, -0.6), (0.48, -0.34)],
        [(0.82, 0.08), (1.0, 0.16), (1.14, 0.12)],
    ]
    paths += [[(0.74, 0.32), (0.95, 0.45), (1.12, 0.4)], [(0.62, 0.56), (0.8, 0.74), (0.98, 0.72)]]
    for path in paths:
        for side in (1, -1):
            wobbled = (np.array(path) + rng.normal(0, 0.02, (3, 2))) * (side, 1)
            canvas.soft(taper(wobbled, rng.uniform(0.09, 0.13)), colour, 0.85, 0.015)


def _rosettes(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Leopard: broken rings at the edge, solid spots towards the middle, none about eyes and muzzle."""
    spacing = 0.25
    grid: np.ndarray = np.stack(np.meshgrid(np.arange(-1.3, 1.31, spacing), np.arange(-1.1, 1.5, spacing)), axis=-1)
    grid[1::2, :, 0] += spacing / 2
    for center in grid.reshape(-1, 2) + rng.uniform(-0.06, 0.06, grid.size).reshape(-1, 2):
        if not _free(center, animal):
            continue
        radius = rng.uniform(0.06, 0.085)
        spot = tufted(ellipse(center, (radius, 0.85 * radius), rng.uniform(0, 3)), rng, 0.008, 16)
        canvas.fill(spot, animal.dark)
        if abs(center[0]) > 0.75:
            canvas.fill(
                ellipse(center + rng.uniform(-0.01, 0.01, 2), (0.5 * radius, 0.42 * radius)),
                mix(animal.base, animal.dark, 0.35),
            )


def _free(center: Outline, animal: Animal) -> bool:
    """Whether a spot may stand here: inside the head, off the eyes, the bridge and the muzzle."""
    x, y = abs(center[0]), center[1]
    head = animal.species.outline
    inside = x / 0.93 < np.interp(y, [p[1] for p in head], [p[0] for p in head])
    eye = ((x - 0.5) / 0.36) ** 2 + (y / 0.27) ** 2 < 1
    muzzle = x < 0.62 and y > 0.62
    return bool(inside and not eye and not muzzle and not (x < 0.2 and y > -0.25) and y > -1.0)


def _spots(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Dog: scattered dark spots of any size."""
    for _ in range(16):
        center = np.array([rng.uniform(-0.95, 0.95), rng.uniform(-0.95, 1.1)])
        radius = rng.uniform(0.04, 0.13)
        if _free(center, animal):
            canvas.fill(
                tufted(ellipse(center, (radius, 0.9 * radius)), rng, 0.012, 20), mix(animal.dark, animal.base, 0.1)
            )


def _white_cheeks(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Fox, tiger, wolf: pale cheeks that run under the muzzle."""
    half = animal.outline[:, 0].max()
    chin = animal.outline[:, 1].max()
    cheek = [
        (0.24, 0.72),
        (0.5, 0.42),
        (0.9 * half, 0.42),
        (0.99 * half, 0.66),
        (0.62 * half, 1.05),
        (0.3, chin),
        (0.0, chin),
        (0.0, 1.0),
    ]
    for side in (1, -1):
        outline = spline(np.array(cheek) * (side, 1), closed=True)
        canvas.soft(tufted(outline, rng, 0.03), animal.light, 0.97, 0.035, within=animal.outline)


def _white_brows(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    for side in (1, -1):
        canvas.soft(ellipse((side * 0.52, -0.27), (0.21, 0.11), side * -0.2), animal.light, 0.9, 0.04)


def _mask(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Wolf: a dark cap that reaches down between the eyes."""
    half = [(0, -1.15), (0.6, -1.05), (1.15, -0.5), (0.95, -0.2), (0.5, -0.34), (0.24, -0.1), (0.12, 0.4), (0, 0.5)]
    outline = spline(both_sides(np.array(half)), closed=True)
    canvas.soft(tufted(outline, rng, 0.04), mix(animal.dark, animal.base, 0.3), 0.8, 0.06, within=animal.outline)


def _bridge(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Fox, wolf: a dark tear line from each eye's inner corner along the muzzle."""
    for side in (1, -1):
        path = np.array([(0.3, 0.05), (0.24, 0.4), (0.3, animal.species.nose[0] - 0.1)]) * (side, 1)
        canvas.soft(taper(path, 0.12), mix(animal.dark, animal.base, 0.35), 0.65, 0.035)


def _blaze(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Dog, cat: a pale stripe from the forehead to the nose."""
    wide = rng.uniform(0.07, 0.16)
    nose = animal.species.nose[0]
    half = [(0, -0.95), (wide, -0.7), (0.8 * wide, -0.1), (1.6 * wide, 0.7 * nose), (2.2 * wide, nose), (0, nose + 0.1)]
    canvas.soft(spline(both_sides(np.array(half)), closed=True), mix(animal.light, (250, 248, 244), 0.5), 0.95, 0.03)


def _patch(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Dog: a dark patch about one eye."""
    side = rng.choice([-1, 1])
    patch = tufted(ellipse((side * 0.55, -0.05), (0.42, 0.46), side * 0.3), rng, 0.02)
    canvas.soft(patch, mix(animal.dark, animal.base, 0.15), 0.93, 0.03, within=animal.outline)


def _eye_rings(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    for side in (1, -1):
        canvas.soft(ellipse((side * 0.52, 0.03), (0.3, 0.26), side * 0.4), animal.dark, 0.8, 0.06)


def _pale_muzzle(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    """Cats, dogs: pale fur about the mouth and a pale spot above each eye."""
    corner = animal.species.mouth
    chin = animal.outline[:, 1].max()
    half = [
        (0, corner[1] - 0.62),
        (0.8 * corner[0], corner[1] - 0.5),
        (1.5 * corner[0], corner[1] - 0.12),
        (1.2 * corner[0], corner[1] + 0.25),
        (0, chin),
    ]
    canvas.soft(spline(both_sides(np.array(half)), closed=True), animal.light, 0.85, 0.09, within=animal.outline)
    for spot in (np.array([(0.45, -0.26)]), mirror([(0.45, -0.26)])):
        canvas.soft(ellipse(spot[0], (0.16, 0.08)), animal.light, 0.55, 0.05)


PAINTERS: dict[str, Callable[[Canvas, Animal, np.random.Generator], None]] = {
    "stripes": _stripes,
    "tabby": _tabby,
    "rosettes": _rosettes,
    "spots": _spots,
    "white_cheeks": _white_cheeks,
    "white_brows": _white_brows,
    "mask": _mask,
    "bridge": _bridge,
    "blaze": _blaze,
    "patch": _patch,
    "eye_rings": _eye_rings,
    "pale_muzzle": _pale_muzzle,
}

"""What the eight species look like: their measures, coats and markings."""

from dataclasses import dataclass

SPECIES: tuple[str, ...] = ("bear", "cat", "dog", "fox", "leopard", "lion", "tiger", "wolf")

WHITE = (240, 236, 228)
BLACK = (34, 30, 30)


@dataclass(frozen=True)
class Species:
    """A species' frontal face in face units, eyes 1 apart at y = 0."""

    outline: tuple[tuple[float, float], ...]
    """Right half of the head, from the crown to the chin."""
    ears: tuple[str, ...]
    """Kinds an individual may have: "round", "pointed" or "floppy"."""
    ear_at: tuple[float, float, float]
    """Middle of the right ear's root x, y, and the ear's size."""
    eye: tuple[float, float]
    """Half width and half height of the eye's opening."""
    slit: bool
    nose: tuple[float, float, float]
    """Height y of the nose leather's middle, its half width and half height."""
    mouth: tuple[float, float]
    """The right mouth corner."""
    coats: tuple[tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]], ...]
    """Base, light and dark fur."""
    irises: tuple[tuple[int, int, int], ...]
    markings: tuple[tuple[str, ...], ...]
    """Sets of markings an individual may have."""
    leathers: tuple[tuple[int, int, int], ...] = ((42, 36, 38),)
    whiskers: bool = False


YELLOWS = ((206, 168, 60), (190, 142, 50), (164, 152, 70))
BROWNS = ((104, 62, 30), (74, 44, 26), (136, 88, 40))

TABLE: dict[str, Species] = {
    "bear": Species(
        outline=((0, -1.3), (0.65, -1.22), (1.2, -0.85), (1.5, -0.05), (1.52, 0.65), (1.15, 1.2), (0.6, 1.6),
        (0, 1.7)),
        ears=("round",), ear_at=(1.12, -1.05, 0.46), eye=(0.16, 0.14), slit=False,
        nose=(0.86, 0.27, 0.19), mouth=(0.44, 1.26), irises=BROWNS, markings=(("pale_muzzle",),
        ("eye_rings", "pale_muzzle")),
        coats=(((112, 74, 46), (170, 126, 86), (62, 40, 28)), ((52, 46, 46), (146, 112, 82), (26, 22, 24)),
        ((146, 104, 62), (198, 158, 112), (88, 58, 36)), ((228, 224, 212), (244, 242, 236), (176, 170, 156))),
    ),
    "cat": Species(
        outline=((0, -0.98), (0.5, -0.94), (0.95, -0.62), (1.2, 0.05), (1.16, 0.52), (0.82, 1.0), (0.38, 1.24),
        (0, 1.28)),
        ears=("pointed",), ear_at=(0.78, -0.72, 0.72), eye=(0.235, 0.185), slit=True,
        nose=(0.52, 0.13, 0.09), mouth=(0.32, 0.84), irises=((132, 156, 78), (190, 154, 66), (104, 150, 166),
        (160, 116, 54)),
        coats=(((150, 132, 112), (222, 212, 196), (72, 60, 52)), ((214, 144, 78), (244, 220, 188), (156, 90, 42)),
        ((124, 128, 134), (196, 198, 200), (66, 70, 76)), ((52, 48, 50), (84, 78, 78), (24, 22, 24)),
        ((236, 230, 220), (248, 246, 242), (168, 156, 142))),
        markings=(("tabby", "pale_muzzle"), ("tabby", "pale_muzzle"), ("blaze", "pale_muzzle"), ()),
        leathers=((206, 130, 126), (150, 86, 84), (56, 46, 48)), whiskers=True,
    ),
    "dog": Species(
        outline=((0, -1.05), (0.5, -1.0), (1.0, -0.68), (1.24, 0.0), (1.12, 0.6), (0.86, 1.08), (0.55, 1.5),
        (0, 1.64)),
        ears=("floppy", "floppy", "pointed"), ear_at=(0.98, -0.66, 0.92), eye=(0.2, 0.18), slit=False,
        nose=(0.86, 0.26, 0.19), mouth=(0.48, 1.22), irises=BROWNS,
        coats=(((198, 152, 96), (236, 212, 174), (140, 96, 54)), ((66, 52, 46), (178, 118, 68), (34, 28, 28)),
        ((128, 82, 50), (206, 172, 136), (78, 48, 30)), ((232, 226, 214), (246, 244, 238), (150, 112, 78)),
        ((120, 118, 118), (222, 220, 216), (62, 60, 62))),
        markings=(("pale_muzzle",), ("blaze", "pale_muzzle"), ("patch",), ("blaze", "patch", "pale_muzzle"),
        ("spots",)),
    ),
    "fox": Species(
        outline=((0, -0.95), (0.45, -0.92), (0.9, -0.6), (1.22, 0.0), (1.52, 0.62), (0.98, 1.0), (0.42, 1.34),
        (0, 1.44)),
        ears=("pointed",), ear_at=(0.78, -0.72, 0.95), eye=(0.2, 0.15), slit=True,
        nose=(0.92, 0.16, 0.12), mouth=(0.37, 1.14), irises=YELLOWS, markings=(("white_cheeks", "bridge"),),
        coats=(((212, 112, 44), (248, 240, 228), (58, 38, 32)), ((190, 92, 40), (244, 234, 220), (48, 34, 30)),
        ((226, 134, 62), (250, 244, 234), (74, 46, 36))),
    ),
    "leopard": Species(
        outline=((0, -1.1), (0.55, -1.05), (1.02, -0.72), (1.24, 0.0), (1.24, 0.65), (0.98, 1.15), (0.48, 1.52),
        (0, 1.58)),
        ears=("round",), ear_at=(0.95, -0.85, 0.36), eye=(0.2, 0.16), slit=False,
        nose=(0.8, 0.24, 0.16), mouth=(0.43, 1.18), irises=YELLOWS, markings=(("pale_muzzle", "rosettes"),),
        coats=(((218, 172, 104), (246, 232, 208), (48, 34, 28)), ((204, 152, 84), (242, 226, 198), (40, 30, 26)),
        ((226, 190, 132), (246, 238, 220), (62, 44, 34))),
        leathers=((188, 110, 98), (128, 72, 66)), whiskers=True,
    ),
    "lion": Species(
        outline=((0, -1.15), (0.55, -1.1), (1.02, -0.76), (1.2, 0.0), (1.18, 0.7), (0.98, 1.28), (0.52, 1.7),
        (0, 1.78)),
        ears=("round",), ear_at=(1.08, -0.85, 0.38), eye=(0.19, 0.14), slit=False,
        nose=(0.92, 0.3, 0.19), mouth=(0.5, 1.34), irises=YELLOWS, markings=(("mane", "pale_muzzle"),),
        coats=(((210, 164, 104), (240, 218, 180), (134, 84, 44)), ((196, 144, 88), (234, 206, 164), (84, 50, 32)),
        ((222, 180, 124), (244, 228, 198), (166, 112, 58))),
        leathers=((152, 92, 82), (74, 52, 50)), whiskers=True,
    ),
    "tiger": Species(
        outline=((0, -1.15), (0.6, -1.1), (1.1, -0.75), (1.36, 0.0), (1.5, 0.65), (1.2, 1.2), (0.58, 1.58),
        (0, 1.66)),
        ears=("round",), ear_at=(1.02, -0.9, 0.38), eye=(0.2, 0.15), slit=False,
        nose=(0.84, 0.27, 0.17), mouth=(0.47, 1.24), irises=YELLOWS,
        markings=(("white_cheeks", "white_brows", "stripes"),),
        coats=(((226, 136, 52), (246, 238, 224), (32, 26, 26)), ((208, 118, 44), (242, 230, 212), (28, 24, 24)),
        ((236, 228, 214), (250, 248, 242), (44, 38, 40))),
        leathers=((204, 124, 114), (160, 92, 84)), whiskers=True,
    ),
    "wolf": Species(
        outline=((0, -1.1), (0.5, -1.05), (1.0, -0.7), (1.28, 0.0), (1.54, 0.62), (1.12, 1.12), (0.52, 1.56),
        (0, 1.68)),
        ears=("pointed",), ear_at=(0.82, -0.85, 0.72), eye=(0.19, 0.13), slit=False,
        nose=(0.98, 0.23, 0.17), mouth=(0.46, 1.3), irises=(*YELLOWS, (150, 170, 176)),
        markings=(("white_cheeks", "mask", "bridge", "white_brows"),),
        coats=(((142, 138, 134), (232, 228, 220), (66, 64, 66)), ((164, 148, 128), (236, 228, 214), (84, 70, 60)),
        ((92, 90, 94), (190, 188, 186), (40, 38, 42))),
    ),
}  # fmt: skip

"""Post-processing of generated pictures (`003_…`): steps by name, alone or chained in any order."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from rupantara.errors import UserError
from rupantara.imaging.degrade import Cast, GaussianBlur
from rupantara.imaging.dehaze import Dehaze
from rupantara.imaging.detail import Bilateral, Unsharp
from rupantara.imaging.parameters import read_options
from rupantara.imaging.tone import Tone
from rupantara.types import Pictures

Step = Tone | Dehaze | Bilateral | Unsharp | Cast | GaussianBlur
"""`Pictures` -> `Pictures` of the same shape, in the same order; what comes in is left as it is."""

STEPS: dict[str, type[Step]] = {
    "tone": Tone,
    "dehaze": Dehaze,
    "bilateral": Bilateral,
    "unsharp": Unsharp,
    "cast": Cast,
    "blur": GaussianBlur,
}


def parse(text: str) -> tuple[Step, ...]:
    """Read `tone:saturation=1.3:contrast=1.2,dehaze,unsharp:amount=0.6`; raise UserError for what is not known."""
    return tuple(_parse_step(word.strip()) for word in text.split(",")) if text.strip() else ()


def _parse_step(text: str) -> Step:
    name, *options = text.split(":")
    if name not in STEPS:
        raise UserError(f"a step must be one of {', '.join(STEPS)}, got {name!r}")
    return read_options(STEPS[name], options, text)


def name_of(step: Step) -> str:
    """Return the step's name."""
    return next(name for name, kind in STEPS.items() if kind is type(step))


def spell(step: Step) -> str:
    """Return the text that `parse` reads as this step: its name and what differs from the defaults."""
    changed = [f"{f.name}={getattr(step, f.name):g}" for f in fields(step) if getattr(step, f.name) != f.default]
    return ":".join([name_of(step), *changed])


def describe(step: Step) -> dict[str, Any]:
    """Return the step with every parameter, as JSON values."""
    return {"step": name_of(step), **asdict(step)}


def after_each(pictures: Pictures, steps: Sequence[Step]) -> Iterator[Pictures]:
    """Yield the pictures as they are, then after each step."""
    yield pictures
    for step in steps:
        pictures = step(pictures)
        yield pictures


def enhance(pictures: Pictures, steps: Sequence[Step]) -> Pictures:
    """Return the pictures after all steps."""
    *_, last = after_each(pictures, steps)
    return last

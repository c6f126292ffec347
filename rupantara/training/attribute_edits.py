"""Edits of attributes: which there are, which faces of a stream are labelled with them, and the fit of each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.generation.edits import EditPath
from rupantara.models.codecs import Moments
from rupantara.training.edits import AGE_KNOTS, Labelled, fit, identity_axes, measure
from rupantara.training.pairs import UNKNOWN
from rupantara.training.streams import Rows

KNOTS = {"age": AGE_KNOTS, "sex": (0.0, 1.0), "smile": (0.0, 1.0)}
"""Edits, and the values at which their mean codes are taken; sex is 0 male, 1 female, as UTKFace's paths have it; smile is the probability
of `happy` that the expression network gave."""

SOURCES = dict.fromkeys(("age", "sex"), "see the rules of jobs.curate for paths")
SOURCES |= {"smile": "jobs.curate writes the column expressions"}
LEAST_FACES = 8
LIGHT = 3
"""First numbers of a code, which are held equal: of the region VAE how light a picture is, and from where. Children's are lighter."""
EMPHASIS = 1.5
"""How many times the mean change of codes an edit moves a face, but for the age's."""


@dataclass(frozen=True, kw_only=True)
class EditSettings:
    """Which edits are fitted, and how far they go."""

    edits: tuple[str, ...] = ("age", "sex")
    """What to fit: age, sex, smile."""
    emphasis: float = 3.5
    """How many times the mean change of codes an edit of the age moves a face: at 1 an adult keeps too much of an adult."""
    orthogonal: float = 0.0
    """Share of a change along the directions of identity that is taken out, 0 to 1: less change of who it is, and less of the attribute."""

    def check(self) -> None:
        """Raise UserError for settings that cannot be."""
        unknown = [name for name in self.edits if name not in KNOTS]
        if unknown or not self.edits:
            raise UserError(f"--edits must be of {', '.join(KNOTS)}, got {unknown[0] if unknown else 'none'!r}")
        if self.emphasis <= 0 or not 0 <= self.orthogonal <= 1:
            raise UserError(
                f"--emphasis must be above 0 and --orthogonal from 0 to 1, got {self.emphasis:g}, {self.orthogonal:g}"
            )


@dataclass(frozen=True)
class FittedEdits:
    """Paths by name, what was measured of each on held-out faces, and how many faces were trained on."""

    paths: Mapping[str, EditPath]
    measured: Mapping[str, Mapping[str, float]]
    faces: int


def sexes_named(rows: Mapping[str, np.ndarray], name: str) -> bool:
    """Tell whether enough faces that are labelled with an attribute have their sex named."""
    return bool(((rows[name] != UNKNOWN) & (rows["sex"] != UNKNOWN)).sum() >= LEAST_FACES)


def labelled(rows: Mapping[str, np.ndarray], moments: Moments, name: str, *, sexed: bool) -> Labelled:
    """Return the faces that are labelled with an attribute; the others (sex, group) are held equal where they are named.

    A smile is told of every face. With `sexed` those without a sex are left out: of them the sex would be taken for a part of it.
    """
    known = rows[name] != UNKNOWN
    if sexed:
        known &= rows["sex"] != UNKNOWN
    others = [rows["sex"] == 1] if name != "sex" else []
    others += [rows["group"] == group for group in range(4)]
    others += [np.clip(rows["age"], 0, 100) / 100] if name != "age" else []
    tokens = moments.standardize(torch.from_numpy(rows["tokens"][known])).numpy()
    light = tokens[:, 0, :LIGHT]
    return Labelled(
        tokens,
        rows["boxes"][known],
        rows[name][known].astype(np.float64),
        np.concatenate([np.stack(others, 1)[known], light], axis=1).astype(np.float64),
    )


def fit_all(settings: EditSettings, faces: str, train: Rows, held_out: Rows) -> FittedEdits:
    """Fit each edit on the first rows and measure it on the second; UserError where the faces table labels too few."""
    moments, axes = Moments.of(torch.from_numpy(train["tokens"])), None
    if settings.orthogonal > 0:
        tokens = moments.standardize(torch.from_numpy(train["tokens"])).numpy()
        axes = identity_axes(tokens, train["vector"])
    paths, measured = {}, {}
    for name in settings.edits:
        sexed = sexes_named(train, name)
        fitted, held = (labelled(rows, moments, name, sexed=sexed) for rows in (train, held_out))
        if min(len(fitted.values), len(held.values)) < LEAST_FACES:
            raise UserError(
                f"{faces} must tell the {name} of at least {LEAST_FACES} people to train and to validate on, got"
                f" {len(fitted.values)} and {len(held.values)}: {SOURCES[name]}"
            )
        emphasis = settings.emphasis if name == "age" else EMPHASIS
        path = fit(name, fitted, held, KNOTS[name], emphasis=emphasis, axes=axes, amount=settings.orthogonal)
        counts = {"faces": float(len(fitted.values)), "held_out": float(len(held.values))}
        paths[name] = path
        measured[name] = counts | measure(path, held) | dict(zip(("low", "high"), path.ends, strict=True))
    return FittedEdits(paths, measured, len(train["tokens"]))

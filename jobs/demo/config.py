"""The flags of the whole way, and its presets."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from jobs.runtime import cli


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Run every job, one after the other; each can be killed, and the same command goes on."""

    OUTPUT: ClassVar[str] = "run"

    pretrained: cli.Uri = str(Path(__file__).resolve().parents[2] / "pretrained")
    """Folder with region_vae/ and bank/, whose hybrids of sampled people are shown first ("" = none)."""
    sampled: int = 8
    """People to sample from the pretrained model."""
    run: cli.Uri = "runs/demo"
    """Output folder: one subfolder a table or checkpoint, and report.html."""
    photos: cli.Uri = ""
    """Photographs (empty = draw some)."""
    weights: cli.Uri = ""
    """Folder of networks that are used in place of those that ship."""
    drawn_humans: int = 160
    """People to draw, two pictures each."""
    drawn_animals: int = 40
    """Animals of each species to draw."""
    morphs: int = 100
    """Morphs of people to make."""
    vae_preset: str = "64"
    """Preset of jobs.train_vae."""
    epochs: int = 6
    """Passes over the human faces."""
    max_faces: int = 0
    """Train on at most this many faces of each domain (0 = all)."""
    hybrids: int = 12
    """Held-out humans that hybrids are made of."""
    mapped: int = 200
    """Humans that are mapped to species (0 = all)."""
    held_out: int = 200
    """Most held-out faces of each domain that are evaluated."""


def presets() -> dict[str, Config]:
    """Drawn faces; smoke, for CI; photos."""
    default = Config()
    smoke = {
        "drawn_humans": 40,
        "drawn_animals": 12,
        "morphs": 24,
        "vae_preset": "smoke",
        "epochs": 2,
        "hybrids": 4,
        "mapped": 20,
    }
    photos = {
        "vae_preset": "128",
        "max_faces": 2500,
        "epochs": 2,
        "morphs": 200,
        "mapped": 1000,
        "held_out": 500,
        "run": "runs/photos",
    }
    return {
        "default": default,
        "smoke": replace(default, preset="smoke", run="runs/smoke", **smoke),
        "photos": replace(default, preset="photos", **photos),
    }

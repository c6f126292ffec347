"""The whole way in one command: photographs (drawn, if none are given) to hybrids, reverse mapping and one report.

python -m jobs.demo --run runs/demo
python -m jobs.demo --preset photos --photos PHOTOS --weights WEIGHTS --run runs/photos
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from jobs import augment, build_bank, curate, extract, reverse_map, train_vae
from jobs.evaluate import config as evaluate
from jobs.evaluate.run import main as run_evaluation
from jobs.generate import hybrid
from jobs.runtime import cli
from rupantara.reports import demo
from rupantara.storage import manifest, uris
from rupantara.synthetic.photographs import draw_folder

log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Run every job, one after the other; each can be killed, and the same command goes on."""

    OUTPUT: ClassVar[str] = "run"

    pretrained: cli.Uri = str(Path(__file__).resolve().parents[1] / "pretrained")
    """Folder with region_vae/ and bank/, whose hybrids of sampled people are shown first ("" = none)."""
    sampled: int = 8
    """People to sample from the pretrained model."""
    run: cli.Uri = "runs/demo"
    """Output folder: one subfolder a table or checkpoint, and report.html."""
    photos: cli.Uri = ""
    """Photographs (empty = draw some)."""
    weights: cli.Uri = ""
    """Folder with yunet_n_dynamic.onnx and pfld.onnx, needed for photographs without known keypoints."""
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
    held_out: int = 300
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


def steps(config: Config, photos: str) -> dict[str, Callable[[], None]]:
    """Lay out the jobs with their tables under the run's folder."""
    at = partial(uris.join, config.run)
    faces, model, features, bank = at("faces"), at("checkpoint"), at("features"), at("bank")
    common: dict[str, Any] = {"seed": config.seed, "overwrite": config.overwrite}
    judged: dict[str, Any] = common | {"weights": config.weights}
    fitted: dict[str, Any] = common | {"faces": faces, "checkpoint": model}
    sizes: dict[str, Any] = {"epochs": config.epochs, "max_faces": config.max_faces, "morphs": at("morphs")}
    mapped = reverse_map.Config(features=features, bank=bank, affinity=at("affinity"), limit=config.mapped, **common)
    configs: dict[str, tuple[Callable[[Any], None], cli.Common]] = {
        "curate": (curate.main, curate.Config(photos=photos, faces=faces, **judged)),
        "augment": (augment.main, augment.Config(faces=faces, morphs=at("morphs"), count=config.morphs, **common)),
        "train_vae": (
            train_vae.main,
            replace(train_vae.presets()[config.vae_preset], faces=faces, checkpoint=model, **judged, **sizes),
        ),
        "extract": (extract.main, extract.Config(features=features, **fitted)),
        "build_bank": (build_bank.main, build_bank.Config(features=features, bank=bank, **common)),
        "generate": (
            hybrid.main,
            hybrid.Config(bank=bank, generated=at("generated"), split="test", limit=config.hybrids, **fitted),
        ),
        "reverse_map": (reverse_map.main, mapped),
        "evaluate": (
            run_evaluation,
            evaluate.Config(faces=faces, checkpoint=(model,), metrics=at("metrics"), limit=config.held_out, **judged),
        ),
    }
    return shipped(config, at("sampled")) | {name: partial(main, asked) for name, (main, asked) in configs.items()}


def shipped(config: Config, generated: str) -> dict[str, Callable[[], None]]:
    """Lay out the hybrids of the shipped model, if it is there."""
    model, bank = (uris.join(config.pretrained, name) for name in ("region_vae", "bank"))
    if not config.pretrained or not all(uris.exists(uris.join(uri, manifest.NAME)) for uri in (model, bank)):
        return {}
    people: dict[str, Any] = {"samples": config.sampled, "sheet_rows": config.sampled, "generated": generated}
    common: dict[str, Any] = {"seed": config.seed, "overwrite": config.overwrite}
    return {"pretrained": partial(hybrid.main, hybrid.Config(checkpoint=model, bank=bank, **people, **common))}


def main(config: Config) -> None:
    """Run the whole way."""
    if config.photos and not config.weights:
        log.info("no --weights: only photographs with known keypoints can be aligned")
    if config.dry_run:
        print(config)
        return
    drawn = {"humans": config.drawn_humans, "per_species": config.drawn_animals, "seed": config.seed}
    photos = config.photos or draw_folder(uris.join(config.run, "photos"), **drawn)
    seconds: dict[str, float] = {}
    for name, step in steps(config, photos).items():
        log.info("== %s", name)
        started = time.monotonic()
        step()
        seconds[name] = time.monotonic() - started
    path = demo.write(config.run, seconds)
    print(f"report: {Path(path).resolve() if uris.is_local(path) else path}")


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")

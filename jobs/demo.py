"""The whole way in one command: photographs (drawn, if none are given) to hybrids, reverse mapping and one report.

python -m jobs.demo --run runs/demo
python -m jobs.demo --preset photos --photos PHOTOS --weights WEIGHTS --run runs/photos
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from jobs import augment, build_bank, curate, extract, reverse_map, train_vae
from jobs.evaluate import config as evaluate
from jobs.evaluate.run import main as run_evaluation
from jobs.generate import child, hybrid
from jobs.runtime import cli
from rupantara.evaluation import affinity_report
from rupantara.reports import evaluation, funnel, html, sections
from rupantara.storage import manifest, uris
from rupantara.synthetic import write_photographs

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


def draw(config: Config) -> str:
    """Draw the photographs into the run's folder, once, and return where they lie."""
    folder = uris.join(config.run, "photos")
    wanted = {"humans": config.drawn_humans, "per_species": config.drawn_animals, "seed": config.seed}
    mark = uris.join(folder, "drawn.json")
    if not uris.exists(mark) or json.loads(uris.read_bytes(mark)) != wanted:
        for old in uris.list_files(folder):
            uris.delete(uris.join(folder, old.path))
        log.info("drawing %d people and %d animals of each species", config.drawn_humans, config.drawn_animals)
        write_photographs(lambda path, data: uris.write_bytes(uris.join(folder, path), data), **wanted)
        uris.write_bytes(mark, json.dumps(wanted).encode())
    return folder


def steps(config: Config, photos: str) -> dict[str, Callable[[], None]]:
    """Lay out the jobs with their tables under the run's folder."""
    at = {
        name: uris.join(config.run, name)
        for name in ("sampled", "faces", "morphs", "checkpoint", "features", "bank", "generated", "affinity", "metrics")
    }
    common: dict[str, Any] = {"seed": config.seed, "overwrite": config.overwrite}
    train = replace(
        train_vae.presets()[config.vae_preset],
        faces=at["faces"],
        checkpoint=at["checkpoint"],
        epochs=config.epochs,
        max_faces=config.max_faces,
        morphs=at["morphs"],
        weights=config.weights,
        **common,
    )
    return {
        **shipped(config, at["sampled"]),
        "curate": lambda: curate.main(
            curate.Config(photos=photos, weights=config.weights, faces=at["faces"], **common)
        ),
        "augment": lambda: augment.main(
            augment.Config(faces=at["faces"], morphs=at["morphs"], count=config.morphs, **common)
        ),
        "train_vae": lambda: train_vae.main(train),
        "extract": lambda: extract.main(
            extract.Config(faces=at["faces"], checkpoint=at["checkpoint"], features=at["features"], **common)
        ),
        "build_bank": lambda: build_bank.main(
            build_bank.Config(features=at["features"], bank=at["bank"], pictures=at["faces"], **common)
        ),
        "generate": lambda: hybrid.main(
            hybrid.Config(
                faces=at["faces"],
                checkpoint=at["checkpoint"],
                bank=at["bank"],
                generated=at["generated"],
                split="test",
                limit=config.hybrids,
                **common,
            )
        ),
        "reverse_map": lambda: reverse_map.main(
            reverse_map.Config(
                features=at["features"], bank=at["bank"], affinity=at["affinity"], limit=config.mapped, **common
            )
        ),
        "evaluate": lambda: run_evaluation(
            evaluate.Config(
                faces=at["faces"],
                checkpoint=(at["checkpoint"],),
                metrics=at["metrics"],
                weights=config.weights,
                limit=config.held_out,
                **common,
            )
        ),
    }


def shipped(config: Config, generated: str) -> dict[str, Callable[[], None]]:
    """Lay out the hybrids of the shipped model, if it is there."""
    at = {name: uris.join(config.pretrained, name) for name in ("region_vae", "bank")}
    if not config.pretrained or not all(uris.exists(uris.join(uri, manifest.NAME)) for uri in at.values()):
        return {}
    wanted = hybrid.Config(
        checkpoint=at["region_vae"],
        bank=at["bank"],
        generated=generated,
        samples=config.sampled,
        sheet_rows=config.sampled,
        seed=config.seed,
        overwrite=config.overwrite,
    )
    return {"pretrained": lambda: hybrid.main(wanted), **families(config, f"{generated}_families")}


def families(config: Config, generated: str) -> dict[str, Callable[[], None]]:
    """Lay out parents of nobody, three siblings and the first of them at three ages, if the shipped networks are there."""
    at = {name: uris.join(config.pretrained, name) for name in ("region_vae", "blender", "edits")}
    if not all(uris.exists(uris.join(uri, manifest.NAME)) for uri in at.values()):
        return {}
    wanted = child.Config(
        checkpoint=at["region_vae"],
        blender=at["blender"],
        edits_from=at["edits"],
        generated=generated,
        samples=config.sampled,
        siblings=3,
        ages=(5.0, 10.0, 20.0),
        parents=True,
        sheet_rows=config.sampled,
        seed=config.seed,
        overwrite=config.overwrite,
    )
    return {"families": lambda: child.main(wanted)}


def report(run: str, seconds: dict[str, float]) -> str:
    """Write the report of the whole run and return its path."""
    timing = html.Table("Seconds by job in this run", ["job", "seconds"], [[n, f"{s:.0f}"] for n, s in seconds.items()])
    page = html.render(
        "Rupantara: from photographs to hybrid faces",
        [
            *([sections.hybrids(uris.join(run, "sampled"))] if "pretrained" in seconds else []),
            *([sections.families(uris.join(run, "sampled_families"))] if "families" in seconds else []),
            sections.hybrids(uris.join(run, "generated")),
            sections.affinity(affinity_report.results(uris.join(run, "affinity"))),
            sections.morphs(uris.join(run, "morphs")),
            evaluation.section(uris.join(run, "metrics")),
            sections.training(uris.join(run, "checkpoint")),
            funnel.section(uris.join(run, "faces")),
            html.Section("This run", [], [timing]),
        ],
    )
    uri = uris.join(run, "report.html")
    uris.write_bytes(uri, page)
    return uri


def main(config: Config) -> None:
    """Run the whole way."""
    if config.photos and not config.weights:
        log.info("no --weights: only photographs with known keypoints can be aligned")
    if config.dry_run:
        print(config)
        return
    photos = config.photos or draw(config)
    seconds: dict[str, float] = {}
    for name, step in steps(config, photos).items():
        log.info("== %s", name)
        started = time.monotonic()
        step()
        seconds[name] = time.monotonic() - started
    path = report(config.run, seconds)
    print(f"report: {Path(path).resolve() if uris.is_local(path) else path}")


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")

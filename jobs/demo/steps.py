"""The jobs of the whole way, with their tables under the run's folder."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jobs import augment, build_bank, curate, extract, reverse_map, train_vae
from jobs.demo.config import Config
from jobs.evaluate import config as evaluate
from jobs.evaluate.run import main as run_evaluation
from jobs.generate import child, hybrid
from rupantara.storage import manifest, uris
from rupantara.synthetic import write_photographs

log = logging.getLogger("jobs")


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

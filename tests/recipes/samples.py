"""A small output of each recipe: the same inputs, through the job itself, in the working tree that this file lies in.

python -m tests.recipes.samples --inputs FOLDER --out FOLDER [--alone] RECIPE …
"""

import argparse
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from jobs import (
    augment,
    build_bank,
    curate,
    enhance,
    export,
    extract,
    pack,
    probe,
    reverse_map,
    train_blender,
    train_decoder,
    train_edits,
    train_landmarks,
    train_prior,
    train_vae,
    train_zoo,
)
from jobs.evaluate.config import Config as Evaluation
from jobs.evaluate.run import main as evaluate
from jobs.generate import child, hybrid, inversion, variation
from jobs.runtime import cluster
from rupantara.synthetic import write_photographs
from tests.in_process import without_ray

REPOSITORY = Path(__file__).resolve().parents[2]
NETWORKS = next((p / "shared/data/weights" for p in REPOSITORY.parents if (p / "shared/data/weights").exists()), None)
"""Pretrained networks that are not shipped; without them what they judge is not compared."""
DRAWN = {"humans": 80, "per_species": 12, "pictures_per_human": 1}


@dataclass(frozen=True)
class At:
    """Where a sample finds its inputs, and where it leaves its output."""

    inputs: Path
    out: str
    weights: str

    def __getattr__(self, name: str) -> str:
        return str(self.inputs / name)

    @property
    def vae(self) -> str:
        return str(self.inputs / "pretrained/region_vae")


@dataclass(frozen=True)
class Sample:
    """One output: its recipe, the samples that it reads, and the call that makes it."""

    recipe: str
    needs: tuple[str, ...]
    make: Callable[[At], None]


def drawn(at: At) -> None:
    """Draw photographs, unless they are there: drawn again they would be other inputs to what was kept of them."""
    if (Path(at.out) / "keypoints.json").exists():
        return

    def write(path: str, data: bytes) -> None:
        (Path(at.out) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(at.out) / path).write_bytes(data)

    write_photographs(write, **DRAWN)


def curated(at: At) -> None:
    split = {"split_percent": (60, 20, 20)}
    curate.main(curate.Config(photos=at.photos, faces=at.out, weights=at.weights, part_photos=32, **split))


EXTRACTORS = ("region_vae", "texture:size=64", "crop:size=64")


def extracted(at: At) -> None:
    names = (*EXTRACTORS, *(("arcface",) if at.weights else ()))
    extract.main(
        extract.Config(faces=at.faces, features=at.out, checkpoint=at.vae, weights=at.weights, extractors=names)
    )


def extracted_morphs(at: At) -> None:
    config = extract.Config(faces=at.morphs, features=at.out, checkpoint=at.vae, extractors=EXTRACTORS)
    extract.main(replace(config, mean_of=at.features))


def trained_decoder(at: At) -> None:
    config = replace(train_decoder.presets()["smoke"], parts="landmarks,texture,single,joint", vector="global_mu")
    tables = {"features": at.features, "morphs": at.morph_features, "checkpoint": at.out}
    train_decoder.main(replace(config, landmark_epochs=3, epochs=1, **tables))


def trained_vae(at: At) -> None:
    config = replace(train_vae.presets()["smoke"], epochs=1)
    train_vae.main(replace(config, faces=at.faces, morphs=at.morphs, checkpoint=at.out))


def trained_zoo(at: At) -> None:
    train_zoo.main(
        replace(train_zoo.presets()["smoke"], faces=at.faces, checkpoints=at.out, models="plain,beta", epochs=2)
    )


def trained_landmarks(at: At) -> None:
    config = replace(train_landmarks.presets()["smoke"], epochs=1)
    paths = {"photos": at.photos, "points": (f"{at.photos}/keypoints.json",), "checkpoint": at.out}
    train_landmarks.main(replace(config, **paths))


def hybrids(at: At) -> None:
    hybrid.main(hybrid.Config(faces=at.faces, checkpoint=at.vae, bank=at.bank, generated=at.out, limit=4))


def sampled_hybrids(at: At) -> None:
    hybrid.main(hybrid.Config(samples=3, checkpoint=at.vae, bank=at.bank, generated=at.out, donor="region"))


def inverted(at: At) -> None:
    inversion.main(inversion.Config(features=at.features, checkpoint=at.decoder, generated=at.out, limit=4))


def labelled(at: At) -> None:
    rules = (r"(^|/)human/drawn/(?P<identity>[^/]+(?P<age>\d\d))_\d+\.\w+$",)
    config = curate.Config(photos=at.photos, faces=at.out, weights=at.weights, rules=rules)
    curate.main(replace(config, split_percent=(60, 20, 20)))


def trained_blender(at: At) -> None:
    config = replace(train_blender.presets()["smoke"], identity_weight=0.0, parents="decoded", epochs=1)
    train_blender.main(replace(config, features=at.features, faces=at.faces, codec=at.vae, checkpoint=at.out))


def trained_prior(at: At) -> None:
    config = replace(train_prior.presets()["smoke"], epochs=1, features=at.features, faces=at.faces)
    train_prior.main(replace(config, codec=at.vae, checkpoint=at.out))


def fitted_edits(at: At) -> None:
    config = replace(train_edits.presets()["default"], features=at.labelled_features, faces=at.labelled, codec=at.vae)
    train_edits.main(replace(config, checkpoint=at.out, edits=("age",)))


def children(at: At) -> None:
    config = child.Config(faces=at.labelled, checkpoint=at.vae, blender=at.blender, generated=at.out, count=3)
    child.main(replace(config, siblings=2, edits_from=at.edits, age=9.0))


SAMPLES = {
    "photos": Sample("", (), drawn),
    "faces": Sample("curate", ("photos",), curated),
    "morphs": Sample(
        "augment", ("faces",), lambda at: augment.main(augment.Config(faces=at.faces, morphs=at.out, count=20))
    ),
    "features": Sample("extract", ("faces",), extracted),
    "morph_features": Sample("extract", ("morphs", "features"), extracted_morphs),
    "bank": Sample(
        "build_bank", ("features",), lambda at: build_bank.main(build_bank.Config(features=at.features, bank=at.out))
    ),
    "affinity": Sample(
        "reverse_map",
        ("features", "bank"),
        lambda at: reverse_map.main(reverse_map.Config(features=at.features, bank=at.bank, affinity=at.out)),
    ),
    "generated": Sample("generate_hybrid", ("faces", "bank"), hybrids),
    "sampled": Sample("generate_hybrid", ("bank",), sampled_hybrids),
    "enhanced": Sample(
        "enhance",
        ("faces", "generated"),
        lambda at: enhance.main(enhance.Config(generated=at.generated, faces=at.faces, enhanced=at.out)),
    ),
    "exported": Sample(
        "export", ("generated",), lambda at: export.main(export.Config(table=at.generated, export=at.out))
    ),
    "metrics": Sample(
        "evaluate",
        ("faces",),
        lambda at: evaluate(
            Evaluation(faces=at.faces, checkpoint=(at.vae,), metrics=at.out, weights=at.weights, limit=12)
        ),
    ),
    "probed": Sample(
        "probe",
        ("faces", "bank"),
        lambda at: probe.main(probe.Config(faces=at.faces, checkpoint=at.vae, bank=at.bank, probe=at.out, limit=20)),
    ),
    "checkpoint": Sample("train_vae", ("faces", "morphs"), trained_vae),
    "checkpoint_features": Sample(
        "extract",
        ("faces", "checkpoint"),
        lambda at: extract.main(extract.Config(faces=at.faces, features=at.out, checkpoint=at.checkpoint)),
    ),
    "packed": Sample(
        "pack",
        ("faces", "checkpoint", "checkpoint_features"),
        lambda at: pack.main(
            pack.Config(faces=at.faces, features=at.checkpoint_features, checkpoint=at.checkpoint, packed=at.out)
        ),
    ),
    "decoder": Sample("train_decoder", ("features", "morph_features"), trained_decoder),
    "inversions": Sample("generate_inversion", ("features", "decoder"), inverted),
    "inversion_metrics": Sample(
        "evaluate_inversion",
        ("faces", "features", "decoder"),
        lambda at: evaluate(
            Evaluation(
                faces=at.faces,
                features=at.features,
                checkpoint=(at.decoder,),
                metrics=at.out,
                weights=at.weights,
                limit=8,
            )
        ),
    ),
    "generated_metrics": Sample(
        "evaluate_generated",
        ("faces", "generated"),
        lambda at: evaluate(
            Evaluation(faces=at.faces, generated=at.generated, metrics=at.out, weights=at.weights, limit=8)
        ),
    ),
    "landmarks": Sample("train_landmarks", ("photos",), trained_landmarks),
    "labelled": Sample("curate", ("photos",), labelled),
    "labelled_features": Sample(
        "extract",
        ("labelled",),
        lambda at: extract.main(
            extract.Config(faces=at.labelled, features=at.out, checkpoint=at.vae, extractors=("region_vae",))
        ),
    ),
    "blender": Sample("train_blender", ("faces", "features"), trained_blender),
    "prior": Sample("train_prior", ("faces", "features"), trained_prior),
    "edits": Sample("train_edits", ("labelled", "labelled_features"), fitted_edits),
    "children": Sample("generate_child", ("labelled", "blender", "edits"), children),
    "zoo": Sample("train_zoo", ("faces",), trained_zoo),
    "variations": Sample(
        "generate_variation",
        ("faces", "zoo"),
        lambda at: variation.main(
            variation.Config(faces=at.faces, checkpoint=f"{at.zoo}/plain", generated=at.out, limit=3)
        ),
    ),
    "comparison": Sample(
        "evaluate_vaes",
        ("faces", "zoo"),
        lambda at: evaluate(
            Evaluation(faces=at.faces, checkpoint=(at.zoo,), metrics=at.out, varied=4, count=3, limit=8)
        ),
    ),
}
"""Samples by the name of their folder, each after those that it reads."""


UNSAMPLED = ("marked_photographs",)
"""Recipes that no small output is made of: where their code moves, their version is raised."""


def of_recipes(recipes: Collection[str], *, alone: bool) -> list[str]:
    """Return the samples of some recipes and, unless `alone`, all that they read, in the order in which they are made."""
    wanted = {name for name, sample in SAMPLES.items() if sample.recipe in recipes}
    for name, sample in reversed(SAMPLES.items()):
        wanted |= set(sample.needs) if name in wanted and not alone else set()
    return [name for name in SAMPLES if name in wanted]


def make(inputs: Path, out: Path, names: Collection[str], weights: str) -> None:
    """Make samples that read `inputs` into `out`."""
    for name in names:
        SAMPLES[name].make(At(inputs, str(out / name), weights))
        print(f"made {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alone", action="store_true", help="what they read is in --inputs already")
    parser.add_argument("--weights", default=str(NETWORKS or ""))
    parser.add_argument("recipes", nargs="+")
    args = parser.parse_args()
    os.chdir(REPOSITORY)
    # Only trainings and banks start Ray: rows do not depend on who works them.
    with without_ray():
        make(args.inputs, args.out, of_recipes(args.recipes, alone=args.alone), args.weights)
    cluster.disconnect()


if __name__ == "__main__":
    main()

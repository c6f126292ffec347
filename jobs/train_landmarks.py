"""Train the network of animals' heads and landmarks on photographs that are marked by hand; killed and started again it goes on.

    ray job submit --working-dir . -- python -m jobs.train_landmarks --photos s3://bucket/photos \
        --points s3://bucket/animal_keypoints.json --checkpoint s3://bucket/landmarks

The checkpoint holds `animal_landmarks.safetensors` in half precision: a folder with it is a --weights folder of the other jobs.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.animal_network import MODEL_TYPE, load_network, save_network
from rupantara.faces.paths import is_animal
from rupantara.models.animal_landmarks import AnimalLandmarks
from rupantara.reports.cards import landmarks_card
from rupantara.storage import checkpoints, manifest, tables, uris, weights
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.animal_landmarks_start import LandmarksStart
from rupantara.training.animal_landmarks_task import STREAM, AnimalLandmarksObjective
from rupantara.training.marked_rows import InFolds, MarkedRows, marked_table, read_marks
from rupantara.training.streams import Stream

RECIPE = RecipeSpec("train_landmarks", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags, AnimalLandmarksObjective):
    """Train the animals' landmark network."""

    OUTPUT: ClassVar[str] = "checkpoint"

    photos: cli.Uri
    """Folder or s3:// prefix of the photographs that --points names."""
    points: tuple[cli.Uri, ...]
    """JSON files of marks: [{"file", "points": {"left_eye": [x, y], …}, "yaw"}], null where hidden, or only eyes and nose as a list."""
    checkpoint: cli.Uri
    """Output folder."""
    weights: cli.Uri = ""
    """Folder of networks; SqueezeNet, whose features the training starts from, ships."""
    people: int = 190
    """Photographs of people in --photos that are shown as examples of no animal, at most."""
    leave_out: tuple[str, ...] = ()
    """Species (folders) that are not trained on."""
    fold: int = -1
    """Validate on this fold and train on the others; -1 trains on all, and validates on the first fold, which is then no test."""
    folds: int = 5
    """Folds that photographs are dealt into, near-duplicates into one."""
    epochs: int = 12
    """Passes over the photographs."""
    batch: int = 16
    """Photographs in a step, each worker."""


def presets() -> dict[str, Config]:
    """Return presets: 12 epochs, some ten minutes on two cores; smoke is for tests."""
    base = Config(photos=cli.REQUIRED, points=(cli.REQUIRED,), checkpoint=cli.REQUIRED, workers=1)
    return {"default": base, "smoke": replace(base, preset="smoke", epochs=2, batch=4, people=4)}


def marked(config: Config) -> tuple[str, int]:
    """Write the marked photographs as a table beside the checkpoint, unless it is there, and return where and how many."""
    files = {uri: uris.read_bytes(uri) for uri in config.points}
    marks = {n: m for n, m in read_marks(files).items() if not set(n.split("/")) & set(config.leave_out)}
    listed = photographs.by_name(uris.list_files(config.photos))
    people = [entry.path for entry in listed if not is_animal(entry.path)]
    nothing = people[:: max(1, len(people) // max(config.people, 1))][: config.people]
    there = {entry.path for entry in listed}
    if lost := [name for name in marks if name not in there]:
        raise UserError(
            f"--points must name photographs of --photos, {len(lost)} are not there, the first is {lost[0]!r}"
        )
    if len(marks) < config.batch * config.num_workers:
        raise UserError(
            f"--points must mark at least {config.batch * config.num_workers} photographs, got {len(marks)}"
        )
    chosen = {e.path: e for e in listed if e.path in marks or e.path in set(nothing)}
    inputs = {"photos": uris.fingerprint_files(list(chosen.values()))}
    inputs["points"] = hashlib.sha256(b"".join(files.values())).hexdigest()
    settings = {"table": "marked", "folds": config.folds, "leave_out": config.leave_out, "people": config.people}
    recipe = RECIPE.of(settings, inputs, {})
    uri = f"{config.checkpoint.rstrip('/')}_marked/{recipe.fingerprint[:12]}"
    running = manifest.begin(uri, "marked", recipe, version=schema.VERSION, overwrite=True)
    if running is not None:
        rows = marked_table(config.photos, marks, nothing, config.folds)
        tables.write_part(uri, recipe.fingerprint, 0, rows, rows.num_rows)
        tables.commit_parts(uri, running, 1, 0.0)
    return uri, len(marks) + len(nothing)


def run_of(config: Config) -> TrainingRun:
    """Resolve the data and the network."""
    if config.batch < 2 or config.epochs < 1 or not -1 <= config.fold < config.folds:
        raise UserError(
            f"--batch must be at least 2, --epochs 1 and --fold below --folds, got {config.batch}, {config.epochs}, {config.fold}"
        )
    uri, count = marked(config)
    columns = ("image", "points", "known", "view", "has_head", "fold")
    streams = [
        Stream((uri,), "marked", columns, InFolds(config.fold, inside), MarkedRows(), count) for inside in (False, True)
    ]
    objective = AnimalLandmarksObjective(**{f.name: getattr(config, f.name) for f in fields(AnimalLandmarksObjective)})
    start = LandmarksStart(objective, config.weights)
    models = {"squeezenet": weights.sha256(config.weights, "squeezenet")}
    return TrainingRun(
        output=config.checkpoint,
        model_type=MODEL_TYPE,
        recipe=RECIPE.of(
            recipe_settings(config, "photos", "points"), {"marked": manifest.require(uri, "marked").content}, models
        ),
        train={STREAM: streams[0]},
        validation={STREAM: streams[1]},
        batch={STREAM: config.batch},
        epochs=config.epochs,
        network=lambda laid: Network(start, {"model_type": MODEL_TYPE}, landmarks_card),
        describe=start.describe,
    )


def main(config: Config) -> None:
    """Run the job."""
    train(config, run_of(config))
    if not config.dry_run:
        network, _ = checkpoints.restore(config.checkpoint, MODEL_TYPE, AnimalLandmarks)
        data = save_network(network)
        load_network(data)
        uris.write_bytes(uris.join(config.checkpoint, weights.CATALOGUE["animal_landmarks"].file), data)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")

"""A training described as one value: it publishes, resumes to nothing, and where it diverges it stops and replaces nothing."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from ray import cloudpickle
from torch import Tensor, nn

from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from jobs.runtime.training.stop import FILE
from rupantara import schema
from rupantara.errors import UserError
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.state import TrainState
from rupantara.training.streams import Rows
from rupantara.training.task import Validation
from rupantara.training.vector_rows import vector_streams
from tests.drawn import write_table

RECIPE = RecipeSpec("train_halves", version=1)
EPOCHS, BATCH = 2, 4


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags):
    """Train a network that halves tokens."""

    features: str = ""
    checkpoint: str = ""
    learning_rate: float = 0.05
    diverges_in: int = 0
    """Step whose gradient is infinite (0 = none)."""


class Halves:
    """Learns that targets are halves of tokens [2, 3]."""

    def __init__(self, config: Config, device: torch.device) -> None:
        model = nn.Linear(6, 6)
        self.state = TrainState.create(model, [{"params": list(model.parameters())}])
        self._rate, self._diverges_in = config.learning_rate, config.diverges_in

    def modules(self) -> dict[str, nn.Module]:
        return {"model": self.state.model}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        tokens = torch.from_numpy(batches["human"]["tokens"]).flatten(1)
        self.state.set_rate(self._rate)
        loss = ((modules["model"](tokens) - tokens / 2) ** 2).mean()
        if self.state.step + 1 == self._diverges_in:
            loss = loss * float("inf")
        norm = self.state.descend(loss, clip=1e30, decay=0.5, images=len(tokens))
        return {"loss": loss.detach(), "gradient_norm": norm.detach()}

    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        rows = [torch.from_numpy(np.array(part["tokens"])).flatten(1) for part in streams["human"]]
        tokens = torch.cat(rows)
        with torch.inference_mode():
            error = ((self.state.average(tokens) - tokens / 2) ** 2).mean()
        return Validation({"val_human_mse": float(error)}, [[np.zeros((8, 8, 3), np.uint8)]])


@dataclass(frozen=True)
class Start:
    config: Config

    def __call__(self, device: torch.device) -> Halves:
        return Halves(self.config, device)


def run_of(config: Config) -> TrainingRun:
    """All that a job of such a network holds, beside its flags."""
    least = {"human": BATCH * config.num_workers}
    training, held = vector_streams([config.features], ["tokens"], least, 0, 0, config.seed)
    inputs = {"features": manifest.require(config.features, "features").content}
    return TrainingRun(
        output=config.checkpoint,
        model_type="halves",
        recipe=RECIPE.of(recipe_settings(config), inputs),
        train=training,
        validation=held,
        batch={"human": BATCH},
        epochs=EPOCHS,
        network=lambda laid: Network(
            Start(config), {"model_type": "halves"}, lambda recipe, last: f"{recipe.job} {last}"
        ),
        describe=lambda: "42 parameters",
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    rng = np.random.default_rng(0)
    tokens = schema.vector_array(rng.normal(size=(40, 2, 3)))
    columns = {"face_id": [f"f{i}" for i in range(40)], "domain": ["human"] * 40, "species": ["human"] * 40}
    table = pa.table({**columns, "split": ["train"] * 30 + ["val"] * 10, "tokens": tokens})
    table = table.cast(schema.features([schema.vector_field("tokens", 2, 3)]))
    features = write_table(
        str(tmp_path_factory.mktemp("run") / "features"), "features", [table.slice(0, 15), table.slice(15)]
    )
    yield Config(features=features, threads=1, cpus_per_worker=0.5)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_run_learns_publishes_and_is_done(ray_cluster, config: Config, tmp_path: Path, caplog, capsys) -> None:
    config = replace(config, checkpoint=str(tmp_path / "halves"))
    train(replace(config, dry_run=True), run_of(config))
    assert "42 parameters\nfingerprint " + run_of(config).recipe.fingerprint in capsys.readouterr().out
    assert not (tmp_path / "halves").exists()
    train(config, run_of(config))
    found = manifest.require(config.checkpoint, "halves")
    history = [json.loads(line) for line in (tmp_path / "halves" / "log.jsonl").read_text().splitlines()]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"] and found.extra["metrics"] == history[-1]
    assert checkpoints.read(config.checkpoint, "halves").tensors["weight"].shape == (6, 6)
    assert (tmp_path / "halves" / "README.md").read_text().startswith("train_halves {'epoch': 1")
    with caplog.at_level("INFO", logger="jobs"):
        train(config, run_of(config))
    assert "nothing to do" in caplog.text
    # Another recipe that diverges replaces nothing, not with --overwrite either, and keeps its last good epoch.
    steps = 30 // BATCH
    worse = replace(config, diverges_in=steps + 2, overwrite=True)
    message = r"loss must stay finite, got inf in step 2 of epoch 2.*the state after epoch 1 is kept, and nothing was published"
    with pytest.raises(UserError, match=message):
        train(worse, run_of(worse))
    assert manifest.require(config.checkpoint, "halves") == found
    assert checkpoints.read(config.checkpoint, "halves").sha256 == found.extra["model_sha256"]
    kept = list((tmp_path / "halves" / "_train" / run_of(worse).recipe.fingerprint[:12]).glob("epoch_*/state.pt"))
    assert len(kept) == 1
    state = torch.load(kept[0], weights_only=True)["state"]
    assert all(bool(t.isfinite().all()) for t in state["model"].values())
    assert not (tmp_path / "halves" / FILE).exists()


def test_with_several_workers_the_first_that_diverges_ends_the_training(
    ray_cluster, config: Config, tmp_path: Path
) -> None:
    config = replace(config, checkpoint=str(tmp_path / "halves"), diverges_in=2, workers=2, max_failures=3)
    with pytest.raises(
        UserError, match=r"got inf in step 2 of epoch 1.*no epoch was finished, and nothing was published"
    ):
        train(config, run_of(config))
    assert manifest.read(config.checkpoint) is None
    assert manifest.read(config.checkpoint, running=True) is not None

"""Where a training's epochs are logged: JSON lines always, TensorBoard, and MLflow by its extra. Each epoch rewrites the whole."""

import importlib
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rupantara.errors import UserError
from rupantara.storage import uris

LOG, EVENTS = "log.jsonl", "tensorboard/events.out.tfevents.0.rupantara"
History = Sequence[dict[str, float]]


def check(mlflow: str) -> None:
    """Raise UserError when MLflow is asked for and not installed."""
    if mlflow and importlib.util.find_spec("mlflow") is None:
        raise UserError(f"--mlflow {mlflow} needs the package mlflow: pip install 'rupantara[mlflow]'")


def write(output: str, history: History, *, mlflow: str = "") -> None:
    """Log all epochs so far beside the checkpoint, and the last one to an MLflow tracking server."""
    uris.write_bytes(uris.join(output, LOG), "".join(json.dumps(row) + "\n" for row in history).encode())
    uris.write_bytes(uris.join(output, EVENTS), _events(history))
    if mlflow:
        _to_mlflow(mlflow, output, history[-1])


def _events(history: History) -> bytes:
    """Return a TensorBoard event file of all scalars, by images seen."""
    from tensorboardX import SummaryWriter  # Slow to import, and only rank 0 needs it.

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for row in history:
                for name, value in row.items():
                    writer.add_scalar(name, value, int(row["images"]))
        return b"".join(path.read_bytes() for path in sorted(Path(folder).iterdir()))


def _to_mlflow(address: str, output: str, row: dict[str, float]) -> None:
    mlflow = importlib.import_module("mlflow")
    mlflow.set_tracking_uri(address)
    experiment = mlflow.set_experiment("rupantara")
    found = mlflow.search_runs([experiment.experiment_id], f"tags.checkpoint = '{output}'", output_format="list")
    with mlflow.start_run(run_id=found[0].info.run_id if found else None, tags={"checkpoint": output}):
        mlflow.log_metrics(row, step=int(row["images"]))

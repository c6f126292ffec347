"""A decoder of `001_…` as a `training.task.Task`: rows of the stream `face` in, steps and validation out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.faces.arrays import to_images, to_pictures
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.metrics.image import ImageStats
from rupantara.models import face_decoder, pretrained
from rupantara.models.face_decoder import FaceDecoder, FaceDecoderConfig, lay
from rupantara.models.landmark_decoder import LandmarkDecoder
from rupantara.models.texture_decoder import TextureDecoder
from rupantara.reports.points import draw_points
from rupantara.training import decoders as steps
from rupantara.training.decoders import Batch, DecoderObjective, LandmarkLosses, LossNetworks, PictureLosses
from rupantara.training.streams import Rows
from rupantara.training.task import Validation

STREAM = "face"
SHOWN, GRID_SIDE = 10, 128
"""Faces in an epoch's grid, and their side, px."""

WarmStart = Mapping[str, np.ndarray]
"""What the driver measured on the train split: `mean` and `deviations` [dim], and `mean_points` [68, 2]. A linear path adds what its `fit`
takes; kernel features add their standardized `centers` and, if these are all of the rows, their `excess`."""


@dataclass(frozen=True)
class DecoderStart:
    """Builds the task on a worker; `weights` is the folder of the losses' networks, `perceptual` the name of one."""

    model: FaceDecoderConfig
    objective: DecoderObjective
    weights: str
    warm: WarmStart
    perceptual: str = "squeezenet"

    def __call__(self, device: torch.device) -> "DecoderTask":
        """Load the networks of the losses and build the model."""
        objective, seen, embed = self.objective, None, None
        if objective.perceptual_weight > 0:
            seen = pretrained.load_features(self.weights, self.perceptual).to(device).features
        if objective.identity_weight > 0:
            embed = pretrained.load_embed(self.weights).to(device)
        return DecoderTask(self.model, objective, LossNetworks(seen, embed), self.warm, device)


class DecoderTask:
    """Trains and validates one part on the stream `face`."""

    def __init__(
        self,
        config: FaceDecoderConfig,
        objective: DecoderObjective,
        judging: LossNetworks,
        warm: WarmStart,
        device: torch.device,
    ) -> None:
        """Build the network from torch's seed, start it from what was measured, convolutions channels last."""
        model = face_decoder.build(config, torch.from_numpy(warm["mean_points"]).float())
        begin(model, warm)
        model = model.to(device).to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        self.state = steps.start(model, objective)
        self._part, self._objective, self._judging, self._device = config.part, objective, judging, device
        self._mean_points = torch.from_numpy(warm["mean_points"]).float().to(device)

    def modules(self) -> dict[str, nn.Module]:
        """Return the losses."""
        if self._part == "landmarks":
            return {"losses": LandmarkLosses(self.state.model)}
        return {"losses": PictureLosses(self.state.model, self._part, self._objective, self._judging)}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Take one step."""
        return steps.train_step(
            self.state, self._objective, modules["losses"], self._batch(batches[STREAM]), total_images
        )

    def _batch(self, rows: Rows) -> Batch:
        put = {name: torch.from_numpy(np.array(rows[name])).to(self._device) for name in ("vector", "landmarks")}
        images = to_images(rows["image"]).to(self._device, non_blocking=True) if "image" in rows else None
        identities = torch.from_numpy(np.array(rows["identity"])).to(self._device) if "identity" in rows else None
        return Batch(put["vector"], put["landmarks"], images, identities)

    @torch.inference_mode()
    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Measure the averaged weights: squared error of landmarks (px² of SIDE), absolute error and PSNR of pictures."""
        mse = mae = count = 0.0
        stats, pictures = ImageStats(), []
        for rows in streams[STREAM]:
            batch, count = self._batch(rows), count + len(rows["vector"])
            points, made = _run(self.state.average, batch.vectors)
            if points is not None:
                mse += float(((points - batch.points) ** 2).mean((1, 2)).sum())
            if made is not None and batch.images is not None:
                mae += float((made - batch.images).abs().mean((1, 2, 3)).sum())
                stats = stats.merge(ImageStats.update(made, batch.images))
            pictures = pictures or self._pictures(batch, points, made)
        found = {"landmark_mse": mse / count} if self._part in ("landmarks", "joint") else {}
        if self._part != "landmarks":
            found |= {"mae": mae / count, **stats.compute()}
        return Validation({f"val_{STREAM}_{key}": value for key, value in found.items()}, pictures)

    def _pictures(self, batch: Batch, points: Tensor | None, made: Tensor | None) -> list[list[np.ndarray]]:
        """Lay out a grid: true and predicted landmarks, or true and predicted pictures (textures also laid on the true landmarks)."""
        if made is None or batch.images is None:
            assert points is not None
            shown = (rescale(p[:SHOWN].cpu().numpy(), SIDE, GRID_SIDE) for p in (batch.points, points))
            return [draw_points(faces, GRID_SIDE) for faces in shown]
        rows = [batch.images[:SHOWN], made[:SHOWN]]
        if self._part == "texture":
            rows.append(lay(made[:SHOWN], batch.points[:SHOWN], self._mean_points))
        return [list(to_pictures(images)) for images in rows]


def begin(model: nn.Module, warm: WarmStart) -> None:
    """Initialize every part's standardization, and linear paths by their regression."""
    tensors = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in warm.items()}
    for part in model.modules():
        if isinstance(part, LandmarkDecoder | TextureDecoder):
            part.standardize.fit(tensors["mean"], tensors["deviations"])
        if isinstance(part, TextureDecoder) and part.linear is not None:
            if part.kernel is not None:
                part.kernel.fit(tensors["centers"], tensors.get("excess"))
            part.linear.fit(tensors)


def _run(model: nn.Module, vectors: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Run the model; return its points and its pictures, None where it makes none."""
    if isinstance(model, LandmarkDecoder):
        return model(vectors), None
    if isinstance(model, FaceDecoder):
        made = model(vectors)
        return made.points, made.images
    return None, model(vectors)

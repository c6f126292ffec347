"""A VAE of the zoo as a `training.task.Task`: rows of the stream `human` in, steps and validation out."""

from collections.abc import Iterable, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from rupantara.faces.arrays import to_images, to_pictures
from rupantara.losses.perceptual import Features
from rupantara.metrics.image import ImageStats
from rupantara.models import zoo
from rupantara.models.zoo import ZooConfig
from rupantara.training import zoo as steps
from rupantara.training.streams import Rows
from rupantara.training.task import Validation
from rupantara.training.zoo import ZooLosses, ZooObjective

STREAM = "human"
SHOWN = 10
"""Faces in an epoch's grid."""


class ZooTask:
    """Trains and validates on the stream `human`."""

    def __init__(
        self, config: ZooConfig, objective: ZooObjective, features: Features | None, device: torch.device
    ) -> None:
        """Build the network from torch's seed, channels last: twice as fast on a CPU as channels first, in float32."""
        model = zoo.build(config).to(device).to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        self.state = steps.start(model)
        self._objective, self._features, self._device = objective, features, device

    def modules(self) -> dict[str, nn.Module]:
        """Return the losses."""
        return {"losses": ZooLosses(self.state.model, self._objective, self._features)}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Take one step."""
        images = to_images(batches[STREAM]["image"]).to(self._device, non_blocking=True)
        images = images.contiguous(memory_format=torch.channels_last)
        return steps.train_step(self.state, self._objective, modules["losses"], images, total_images)

    @torch.inference_mode()
    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Measure deterministic reconstructions, and show a few with draws of the posterior and of the prior."""
        model, stats, pictures = self.state.average, ImageStats(), []
        for rows in streams[STREAM]:
            images = to_images(rows["image"]).to(self._device)
            decoded, posterior = model(images, deterministic=True)
            stats = stats.merge(ImageStats.update(decoded, images))
            if not pictures:
                drawn = model.decode(posterior.sample())
                prior = model.decode(torch.randn_like(posterior.mu[:SHOWN]))
                pictures = [list(islice(to_pictures(row), SHOWN)) for row in (images, decoded, drawn, prior)]
        return Validation({f"val_{STREAM}_{key}": value for key, value in stats.compute().items()}, pictures)

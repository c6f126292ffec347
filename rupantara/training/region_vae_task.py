"""The region VAE as a `training.task.Task`: rows of the training streams in, steps and validation out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.faces.arrays import to_images, to_pictures
from rupantara.landmarks.align import TEMPLATES
from rupantara.landmarks.regions import CANONICAL
from rupantara.metrics.image import ImageStats
from rupantara.models.linear_path import Components
from rupantara.models.region_vae import HUMAN, RegionVAE, RegionVAEConfig
from rupantara.tensors import Images
from rupantara.training import region_vae as steps
from rupantara.training.composite_targets import Points
from rupantara.training.region_vae import CriticLosses, FaceBatch, Networks, RegionVAELosses, RegionVAEObjective
from rupantara.training.streams import Rows
from rupantara.training.task import Validation
from rupantara.training.warm_start import Pca

DOMAINS = ("human", "animal")
SHOWN = 10
"""Faces of each domain in an epoch's grid."""


class RegionVAETask:
    """Trains on the streams `human` and `animal`, validates on both."""

    def __init__(
        self,
        config: RegionVAEConfig,
        objective: RegionVAEObjective,
        networks: Networks,
        pca: tuple[Pca, Sequence[Pca]] | None,
        device: torch.device,
        *,
        channels_last: bool | None = None,
        compiled: bool = False,
    ) -> None:
        """Build the network from torch's seed and warm-start it, if there are PCAs; `compiled` blocks are for GPUs.

        Unless told, convolutions are laid out channels last where that was measured to be faster: in bfloat16 on a CPU with AMX.
        """
        model = RegionVAE(config)
        for net in model.domain_nets() if pca else ():
            assert pca is not None
            net.warm_start(_tensors(pca[0]), [_tensors(one) for one in pca[1]])
        if channels_last is None:
            channels_last = (
                device.type == "cpu" and objective.bfloat16 and torch.cpu.get_capabilities().get("amx_bf16", False)
            )
        if channels_last:
            model = model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        self.state = steps.start(model.to(device), objective)
        self._objective, self._networks, self._device = objective, networks, device
        if compiled:
            _compile(self.state.model.compilable())

    def modules(self) -> dict[str, nn.Module]:
        """Return the losses, and the critic's if there is one."""
        state = self.state
        out: dict[str, nn.Module] = {
            "losses": RegionVAELosses(state.model, self._objective, self._networks, state.critic)
        }
        return out | ({"critic": CriticLosses(state.critic)} if state.critic is not None else {})

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Take one step."""
        humans, animals = (as_faces(batches[name], self._device) for name in DOMAINS)
        return steps.train_step(
            self.state, self._objective, modules["losses"], humans, animals, total_images, modules.get("critic")
        )

    @torch.inference_mode()
    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Measure reconstructions by the means of the codes."""
        out: dict[str, float] = {}
        pictures = []
        for name in DOMAINS:
            stats, shown = ImageStats(), 0
            for rows in streams[name]:
                faces = as_faces(rows, self._device)
                decoded = reconstruct(self.state.average, faces)
                stats = stats.merge(ImageStats.update(decoded, faces.images))
                if not shown:
                    pictures += [list(islice(to_pictures(images), SHOWN)) for images in (faces.images, decoded)]
                    shown = len(faces.images)
            out |= {f"val_{name}_{key}": value for key, value in stats.compute().items()}
        return Validation(out, pictures)


def _compile(blocks: Sequence[nn.Module]) -> None:
    """Compile blocks in place, each for its own shapes. Blocks of one class share a cache, which torch limits to 8 entries by default."""
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, 4 * len(blocks))  # ty: ignore[invalid-assignment]
    for block in blocks:
        block.compile(dynamic=False)


def _tensors(pca: Pca) -> Components:
    return Components(*(torch.tensor(array) for array in pca))


def blank_rows(count: int, size: int, domain: str) -> Rows:
    """Return grey faces with canonical boxes, on which a step can be timed."""
    boxes = np.repeat(np.array(CANONICAL[domain], np.float32)[None], count, 0)
    points = np.repeat((np.array(TEMPLATES["human"], np.float32) * size)[None], count, 0)
    return {
        "image": np.full((count, size, size, 3), 127, np.uint8),
        "boxes": boxes,
        "species": np.full(count, int(domain != HUMAN), np.int64),
        "keypoints": points,
        "yaw": np.zeros(count, np.float32),
        "landmarks": np.full((count, 68, 2), np.nan, np.float32),
        "points": np.full((count, 6, 2), np.nan, np.float32),
    }


def as_faces(rows: Rows, device: torch.device) -> FaceBatch:
    """Turn a batch of `face_rows.FaceRows` into tensors."""
    tensors = [torch.as_tensor(rows[name]) for name in ("boxes", "species", "keypoints", "yaw")]
    known = (torch.as_tensor(rows[name]) for name in ("landmarks", "points"))
    points = Points(*(part.to(device, non_blocking=True) for part in known))
    return FaceBatch(*(part.to(device, non_blocking=True) for part in (to_images(rows["image"]), *tensors)), points)


def reconstruct(model: RegionVAE, faces: FaceBatch) -> Images:
    """Encode and decode with the means of the codes."""
    found = model.encode(faces.images, faces.boxes, faces.species)
    return model.decode(found.global_mu, found.regions_mu, faces.boxes, faces.species)

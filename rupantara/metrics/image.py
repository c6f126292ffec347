"""MSE, PSNR and SSIM of pictures against their source, per picture and as mergeable sums."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from rupantara.tensors import Images


def image_errors(outputs: Images, sources: Images) -> dict[str, Tensor]:
    """Return `mse` (scale [0, 1]), `psnr` (dB, peak 1) and `ssim` (Gaussian window 11, sigma 1.5) of each picture: [batch]."""
    a, b = (outputs.float().clamp(-1, 1) + 1) / 2, (sources.float() + 1) / 2
    mse = ((a - b).double() ** 2).flatten(1).mean(1)
    ssim = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)
    return {"mse": mse, "psnr": -10 * torch.log10(mse.clamp(min=1e-10)), "ssim": ssim.double().reshape(len(a))}


def masked_psnr(outputs: Images, sources: Images, masks: Tensor) -> Tensor:
    """Return the PSNR (dB, peak 1) of each picture where its mask [batch, height, width] is above 0: [batch]."""
    inside = (masks > 0)[:, None].expand_as(sources)
    squared = ((outputs.float().clamp(-1, 1) - sources.float()) / 2).double().square() * inside
    mse = squared.flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)
    return -10 * torch.log10(mse.clamp(min=1e-10))


@dataclass(frozen=True)
class ImageStats:
    """Sums over pictures; adding two is exact up to float64 rounding and associative."""

    count: int = 0
    mse: float = 0.0
    psnr: float = 0.0
    ssim: float = 0.0

    @staticmethod
    def update(outputs: Images, sources: Images) -> "ImageStats":
        """Measure a batch."""
        sums = {name: float(value.sum()) for name, value in image_errors(outputs, sources).items()}
        return ImageStats(len(outputs), **sums)

    def merge(self, other: "ImageStats") -> "ImageStats":
        """Add the sums of another batch or worker."""
        return ImageStats(
            self.count + other.count, self.mse + other.mse, self.psnr + other.psnr, self.ssim + other.ssim
        )

    def compute(self) -> dict[str, float]:
        """Return the means; ValueError when nothing was measured."""
        if not self.count:
            raise ValueError("no picture was measured")
        return {name: getattr(self, name) / self.count for name in ("mse", "psnr", "ssim")}

"""The frozen networks that judge pictures in evaluations."""

import torch
from torch import Tensor

from rupantara.landmarks.crop import KeypointRows
from rupantara.metrics.perceptual import load_heads, lpips_caffe_squeezenet
from rupantara.models import pretrained
from rupantara.models.feature_nets import mobilefacenet_rows, squeezenet_rows
from rupantara.models.squeezenet import SqueezeNet
from rupantara.storage import weights
from rupantara.tensors import Images


class Judges:
    """Distances and features by SqueezeNet, identity by MobileFaceNet; pictures are clipped to [-1, 1] before."""

    def __init__(self, folder: str, *, heads: bool, identity: bool) -> None:
        """Load them from a weights folder: LPIPS's heads and the network of identity if wanted."""
        features = pretrained.load_features(folder, "squeezenet")
        assert isinstance(features, SqueezeNet)
        self._features = features
        self._heads = load_heads(weights.load(folder, "lpips_squeeze")) if heads else None
        self._embed = pretrained.load_embed(folder) if identity else None

    @property
    def knows_identity(self) -> bool:
        """Tell whether the network of identity was loaded."""
        return self._embed is not None

    @torch.inference_mode()
    def features(self, images: Images) -> Tensor:
        """Return SqueezeNet's pooled features [n, 512]."""
        return squeezenet_rows(self._features, images.clamp(-1, 1))

    @torch.inference_mode()
    def vectors(self, images: Images, keypoints: KeypointRows) -> Tensor:
        """Return MobileFaceNet's unit vectors of faces whose keypoints are known, px [n, 128]."""
        assert self._embed is not None
        return mobilefacenet_rows(self._embed, images.clamp(-1, 1), keypoints)

    @torch.inference_mode()
    def distance(self, outputs: Images, sources: Images) -> Tensor:
        """Return the perceptual distance of each picture from its source [n]."""
        return lpips_caffe_squeezenet(self._features.features, outputs.clamp(-1, 1), sources, self._heads)

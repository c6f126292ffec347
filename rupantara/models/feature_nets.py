"""Pictures to the feature rows that Fréchet and kernel distances compare; report the function's name beside every distance."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rupantara.landmarks.crop import KeypointRows, arcface_crop
from rupantara.models.mobilefacenet import MobileFaceNet
from rupantara.models.squeezenet import SIDE, SqueezeNet
from rupantara.tensors import Images


def squeezenet_rows(model: SqueezeNet, images: Images) -> Float[Tensor, "batch 512"]:
    """Return SqueezeNet's deepest features averaged over the picture: what a picture shows, whatever its size.

    Pictures are brought to 227 x 227 by an antialiased cubic, as clean-fid does (Parmar et al., 2022, section 3): without, a
    distance between sets of two sizes measures the resizing.
    """
    if images.shape[-2:] == (SIDE, SIDE):
        return model.pooled(images)
    resized = F.interpolate(images.float(), (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False)
    return model.pooled(resized.clamp(-1, 1))


def mobilefacenet_rows(model: MobileFaceNet, images: Images, keypoints: KeypointRows) -> Float[Tensor, "batch 128"]:
    """Return unit-length identity vectors of faces aligned as ArcFace's are; keypoints in pixels of the images."""
    return F.normalize(model(arcface_crop(images, keypoints)), dim=1)

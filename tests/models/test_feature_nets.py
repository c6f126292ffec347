"""Feature rows are the networks' of pictures resized as Pillow does, and of the crop that ArcFace takes."""

import numpy as np
import pytest
import torch
from PIL import Image

from rupantara.landmarks.crop import ARCFACE_TEMPLATE
from rupantara.models import squeezenet
from rupantara.models.feature_nets import mobilefacenet_rows, squeezenet_rows
from rupantara.models.mobilefacenet import MobileFaceNet


@pytest.fixture(scope="module")
def net() -> squeezenet.SqueezeNet:
    """Random weights of He's variance and no bias: torch's own let the biases drown the picture."""
    torch.manual_seed(0)
    model = squeezenet.SqueezeNet().eval().requires_grad_(False)
    for name, tensor in model.named_parameters():
        torch.nn.init.zeros_(tensor) if name.endswith("bias") else torch.nn.init.kaiming_normal_(tensor)
    return model


def by_pillow(images: torch.Tensor) -> torch.Tensor:
    """Resize as clean-fid does: each channel as floats by Pillow's bicubic, clipped."""
    channels = [Image.fromarray(c.numpy()).resize((227, 227), Image.Resampling.BICUBIC) for c in images.flatten(0, 1)]
    return torch.from_numpy(np.stack([np.asarray(c) for c in channels])).view(-1, 3, 227, 227).clamp(-1, 1)


@pytest.mark.parametrize("size", [64, 512])
def test_pictures_are_resized_as_pillow_does(net: squeezenet.SqueezeNet, size: int) -> None:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = squeezenet_rows(net, images)
    torch.testing.assert_close(found, net.pooled(by_pillow(images)), rtol=1e-3, atol=1e-3)
    naive = net.pooled(torch.nn.functional.interpolate(images, (227, 227)))
    assert float((found - naive).norm() / found.norm()) > 0.01


def test_pictures_of_the_network_s_own_size_are_shown_as_they_are(net: squeezenet.SqueezeNet) -> None:
    images = torch.rand(1, 3, 227, 227) * 2 - 1
    assert torch.equal(squeezenet_rows(net, images), net.pooled(images))


def test_an_aligned_face_is_embedded_as_it_is_and_to_unit_length() -> None:
    torch.manual_seed(0)
    model = MobileFaceNet().eval().requires_grad_(False)
    images = torch.rand(3, 3, 112, 112) * 2 - 1
    found = mobilefacenet_rows(model, images, torch.tensor(ARCFACE_TEMPLATE).expand(3, 5, 2))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    expected = torch.nn.functional.normalize(model((images + 1) * 127.5), dim=1)
    assert float(torch.cosine_similarity(found, expected).min()) > 0.9999

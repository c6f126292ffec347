"""The e4e encoder: the published names and sizes, and its arithmetic by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rupantara.faces import chips
from rupantara.imaging import codec
from rupantara.models import e4e
from rupantara.synthetic import draw_face


@pytest.fixture(scope="module")
def encoder() -> e4e.E4EEncoder:
    torch.manual_seed(0)
    model = e4e.E4EEncoder().eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


def test_names_are_those_of_the_published_file() -> None:
    """Of pSp's and e4e's code: 24 blocks, eighteen heads of 4, 5 and 6 halvings, two lateral convolutions."""
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in e4e.E4EEncoder().state_dict().items()}
    assert shapes["input_layer.0.weight"] == (64, 3, 3, 3)
    assert shapes["input_layer.2.weight"] == (64,)
    assert shapes["body.0.res_layer.5.fc1.weight"] == (4, 64, 1, 1)
    assert "body.0.shortcut_layer.0.weight" not in shapes
    assert shapes["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert shapes["body.23.res_layer.3.weight"] == (512, 512, 3, 3)
    assert not any(name.startswith("body.24.") for name in shapes)
    for head, convs in ((0, 4), (2, 4), (3, 5), (6, 5), (7, 6), (17, 6)):
        names = {n for n in shapes if n.startswith(f"styles.{head}.convs.") and n.endswith("weight")}
        assert names == {f"styles.{head}.convs.{2 * i}.weight" for i in range(convs)}
        assert shapes[f"styles.{head}.linear.weight"] == (512, 512)
    assert shapes["latlayer1.weight"] == (512, 256, 1, 1)
    assert shapes["latlayer2.weight"] == (512, 128, 1, 1)


def test_parameters_are_as_many_as_the_layers_by_hand_have() -> None:
    def block(inside: int, out: int) -> int:
        shortcut = 0 if inside == out else inside * out + 2 * out
        se = 2 * out * (out // 16)
        return shortcut + 2 * inside + 9 * inside * out + out + 9 * out * out + 2 * out + se

    stages = ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3))
    body = sum(block(i if b == 0 else o, o) for i, o, n in stages for b in range(n))
    conv = 9 * 512 * 512 + 512
    heads = (3 * 4 + 4 * 5 + 11 * 6) * conv + 18 * (512 * 512 + 512)
    lateral = 512 * 256 + 512 + 512 * 128 + 512
    with torch.device("meta"):
        total = sum(p.numel() for p in e4e.E4EEncoder().parameters())
    assert total == 64 * 27 + 2 * 64 + 64 + body + heads + lateral


def test_the_forward_pass_is_that_of_the_equations(encoder: e4e.E4EEncoder) -> None:
    """Written again from the papers' figure: base code of the coarse map, offsets of the pyramid's maps."""
    faces = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    x = encoder.input_layer(faces)
    found = {}
    for i, unit in enumerate(encoder.body):
        residual = unit.res_layer[:5](x)
        squeezed = residual.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(
            F.conv2d(F.relu(F.conv2d(squeezed, unit.res_layer[5].fc1.weight)), unit.res_layer[5].fc2.weight)
        )
        x = residual * gate + unit.shortcut_layer(x)
        found[i] = x
    c1, c2, c3 = found[6], found[20], found[23]
    assert [c.shape[2] for c in (c1, c2, c3)] == [64, 32, 16]
    p2 = F.interpolate(c3, size=(32, 32), mode="bilinear", align_corners=True) + encoder.latlayer1(c2)
    p1 = F.interpolate(p2, size=(64, 64), mode="bilinear", align_corners=True) + encoder.latlayer2(c1)
    codes = []
    for i, head in enumerate(encoder.styles):
        y = c3 if i < 3 else p2 if i < 7 else p1
        for conv in head.convs[::2]:
            y = F.leaky_relu(conv(y), 0.01)
        style = y[:, :, 0, 0] @ (head.linear.weight / 512**0.5).T + head.linear.bias
        codes.append(style if i == 0 else codes[0] + style)
    torch.testing.assert_close(encoder(faces), torch.stack(codes, 1), rtol=1e-4, atol=1e-4)


def test_a_published_file_loads_and_adds_its_mean_code(encoder: e4e.E4EEncoder) -> None:
    state = {f"encoder.{name}": t for name, t in encoder.state_dict().items() if name != "latent_avg"}
    state["decoder.style.1.weight"] = torch.zeros(1)
    mean = torch.arange(512.0)
    faces = torch.zeros(1, 3, 256, 256)
    loaded = e4e.from_published(state, mean)
    torch.testing.assert_close(loaded(faces) - encoder(faces), mean.expand(1, 18, 512), rtol=1e-4, atol=1e-3)
    with pytest.raises(RuntimeError, match="Missing key"):
        e4e.from_published({"encoder.input_layer.0.weight": torch.zeros(64, 3, 3, 3)}, mean)


def test_the_chip_is_centred_and_turned_as_ffhqs_are() -> None:
    face = draw_face("human", 3, size=320)
    eyes = np.array([[120.0, 140], [200, 150]])
    mouth = np.array([[128.0, 226], [192, 234]])
    points = np.array([*eyes, (eyes[0] + mouth[1]) / 2, *mouth])
    picture = np.zeros_like(face.image)
    for x, y in (*eyes, *mouth):
        picture[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 255
    chip = chips.ffhq_chip(picture, points)
    across, down = eyes[1] - eyes[0], mouth.mean(0) - eyes.mean(0)
    half = max(2 * np.hypot(*across), 1.8 * np.hypot(*down))
    scale = 256 / (2 * half)
    rows, columns = np.nonzero(codec.resize(chip, 256)[..., 0] > 128)
    seen = np.array([columns.mean(), rows.mean()]) + 0.5
    wanted = 128 + scale * np.array([0.0, (0.5 - 0.1) * np.hypot(*down)])
    assert np.abs(seen - wanted).max() < 3

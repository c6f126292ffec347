"""A grown model sees pictures halved and paints what the small one painted."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rupantara.landmarks.regions import CANONICAL
from rupantara.models.growing import fits, grow
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig

SMALL = RegionVAEConfig(
    size=64, channels=(16, 32, 32, 32), decoder_channels=(16, 32, 32, 32), region_side=24, species=("fox", "cat")
)
BIG = replace(SMALL, size=128, stem=4)


def trained(config: RegionVAEConfig) -> RegionVAE:
    torch.manual_seed(1)
    model = RegionVAE(config).eval().requires_grad_(False)
    for weight in model.parameters():
        weight.add_(torch.randn_like(weight) * 0.02)
    return model


@pytest.mark.parametrize("separate", [False, True])
def test_a_grown_model_encodes_halved_pictures_alike_and_paints_the_same(separate: bool) -> None:
    small = trained(replace(SMALL, separate_domains=separate))
    big = RegionVAE(replace(BIG, separate_domains=separate)).eval().requires_grad_(False)
    big.load_state_dict(grow(small, big.config))
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    boxes = torch.tensor(CANONICAL["human"]).expand(2, -1, -1)
    species = torch.tensor([0, 1])
    coarse = F.avg_pool2d(pictures, 2)
    wanted, found = small.encode(coarse, boxes, species), big.encode(pictures, boxes, species)
    torch.testing.assert_close(found.global_mu, wanted.global_mu, rtol=1e-4, atol=1e-4)
    codes = wanted.global_mu, wanted.regions_mu
    made, doubled = big.decode(*codes, boxes, species), small.decode(*codes, boxes, species)
    # The linear path is read between pixels at both sides, so edges differ a little; a shifted or shuffled picture differs by far more.
    error = (F.avg_pool2d(made, 2) - doubled).abs().mean()
    assert error < 0.05 * doubled.std()
    assert (F.avg_pool2d(made, 2) - doubled.roll(1, 3)).abs().mean() > 3 * error


def test_equal_sizes_keep_the_weights() -> None:
    model = trained(SMALL)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in grow(model, SMALL).items())


@pytest.mark.parametrize("wanted", [SMALL, BIG])
def test_the_context_of_regions_adds_nothing_at_first_and_reaches_the_whole_face_once_trained(
    wanted: RegionVAEConfig,
) -> None:
    small = trained(SMALL)
    plain, more = (
        RegionVAE(replace(wanted, region_context=context)).eval().requires_grad_(False) for context in (False, True)
    )
    for model in (plain, more):
        model.load_state_dict(grow(small, model.config))
    codes, boxes, species = (
        torch.randn(2, 512),
        torch.tensor(CANONICAL["human"]).expand(2, -1, -1),
        torch.tensor([0, 1]),
    )
    regions = torch.randn(2, 5, SMALL.region_dim)
    assert torch.equal(more.decode(codes, regions, boxes, species), plain.decode(codes, regions, boxes, species))
    (layer,) = (net.decoder.from_context for net in more.domain_nets())
    assert layer is not None
    layer.weight.normal_(std=0.1)
    other = torch.cat([regions[:, :4], regions[:, 4:] + 1], dim=1)
    changed = [
        (m.decode(codes, other, boxes, species) - m.decode(codes, regions, boxes, species)).abs() for m in (plain, more)
    ]
    chin = [float(one[:, :, -8:].mean()) for one in changed]
    assert chin[1] > 3 * chin[0]


@pytest.mark.parametrize(
    "change", [{"size": 256, "stem": 2}, {"global_dim": 64}, {"species": ("fox",)}, {"size": 256, "stem": 4}]
)
def test_other_sizes_do_not_fit(change: dict[str, object]) -> None:
    wanted = replace(SMALL, **change)  # ty: ignore[invalid-argument-type]
    assert not fits(SMALL, wanted)
    with pytest.raises(ValueError, match="cannot grow"):
        grow(trained(SMALL), wanted)

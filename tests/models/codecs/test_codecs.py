"""Latent codecs: laws that both keep, and what each does with surroundings."""

import pytest
import torch

from rupantara.errors import UserError
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models.codecs import LatentCodec, Moments, e4e_stylegan2, region_vae
from rupantara.models.codecs.region_vae import RegionVAECodec, face_mask
from rupantara.models.e4e import E4EEncoder
from rupantara.models.linear_path import Components
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.models.stylegan2 import StyleGAN2, StyleGAN2Config

SIZES = RegionVAEConfig(
    size=64,
    channels=(8,) * 4,
    decoder_channels=(8,) * 4,
    region_side=24,
    region_encoder_channels=(8, 8),
    base_side=16,
    base_rank=256,
)
BOXES = torch.tensor(CANONICAL["human"])[None]


def _region_codec() -> RegionVAECodec:
    torch.manual_seed(0)
    model = RegionVAE(SIZES)
    base = model.domain_nets()[0].base
    axes = torch.eye(base.rank).repeat(1, 3) / 3**0.5  # A grey pixel each.
    base.warm_start(Components(torch.zeros(axes.shape[1]), axes, torch.linspace(2, 0.5, base.rank)))
    torch.nn.init.normal_(model.domain_nets()[0].decoder.out[2].weight, std=0.1)  # It starts by adding nothing.
    model = model.eval().requires_grad_(False)
    moments = Moments(torch.randn(9, 128) * 0.1, torch.rand(9, 128) + 0.5)
    moments.deviation[3, 5:] = 0.0
    return RegionVAECodec(model, moments, "abc")


def _style_codec() -> e4e_stylegan2.E4EStyleGAN2Codec:
    torch.manual_seed(1)
    generator = StyleGAN2(StyleGAN2Config(16, most=16)).eval().requires_grad_(False)
    return e4e_stylegan2.E4EStyleGAN2Codec(E4EEncoder(6).eval().requires_grad_(False), generator)


@pytest.fixture(scope="module", params=["region_vae", "e4e_stylegan2"])
def codec(request: pytest.FixtureRequest) -> LatentCodec:
    return _region_codec() if request.param == "region_vae" else _style_codec()


def test_pictures_go_to_tokens_and_back(codec: LatentCodec) -> None:
    images = torch.rand(1, 3, codec.side, codec.side) * 2 - 1
    tokens = codec.encode(images, BOXES)
    assert tokens.shape == (1, codec.layout.tokens, codec.layout.dim)
    made = codec.decode(tokens, BOXES)
    assert made.shape == images.shape
    assert torch.isfinite(made).all()


def test_gradients_reach_every_token(codec: LatentCodec) -> None:
    tokens = torch.randn(1, codec.layout.tokens, codec.layout.dim, requires_grad=True)
    codec.decode(tokens, BOXES).square().mean().backward()
    assert tokens.grad is not None
    assert (tokens.grad.abs().amax(2) > 0).all()


def test_groups_part_the_tokens_and_weigh_dominance(codec: LatentCodec) -> None:
    layout = codec.layout
    assert sorted(i for group in layout.groups.values() for i in group) == list(range(layout.tokens))
    name, members = list(layout.groups.items())[-1]
    weighed = layout.weigh({name: -0.5})
    assert weighed[list(members)].tolist() == [-0.5] * len(members)
    assert weighed.abs().sum().item() == pytest.approx(0.5 * len(members))
    assert layout.weigh(0.3).unique().tolist() == pytest.approx([0.3])
    for wrong, said in (({"chin": 1.0}, "'chin'"), (1.5, r"in \[-1, 1\], got 1.5")):
        with pytest.raises(UserError, match=said):
            layout.weigh(wrong)  # ty: ignore[invalid-argument-type]


def test_tokens_of_another_codec_or_not_finite_are_refused(codec: LatentCodec) -> None:
    layout = codec.layout
    layout.demand(torch.zeros(layout.tokens, layout.dim))
    with pytest.raises(UserError, match=f"must be of {layout.codec}"):
        layout.demand(torch.zeros(layout.tokens + 1, layout.dim))
    with pytest.raises(UserError, match="finite"):
        layout.demand(torch.full((layout.tokens, layout.dim), float("nan")))


def test_surroundings_of_itself_change_nothing(codec: LatentCodec) -> None:
    tokens = codec.moments.standardize(torch.randn(2, codec.layout.tokens, codec.layout.dim))
    torch.testing.assert_close(codec.surround(tokens, tokens), tokens, rtol=0, atol=1e-5)


def test_of_w_plus_the_fine_level_comes_from_the_place() -> None:
    moments = Moments(torch.zeros(18, 512), torch.ones(18, 512))
    with torch.device("meta"):
        networks = E4EEncoder(), StyleGAN2(StyleGAN2Config(1024))
    codec = e4e_stylegan2.E4EStyleGAN2Codec(*networks, moments)
    tokens, place = torch.randn(2, 1, 18, 512).unbind(0)
    mixed = codec.surround(tokens, place)
    torch.testing.assert_close(mixed[:, :8], tokens[:, :8], rtol=0, atol=0)
    torch.testing.assert_close(mixed[:, 8:], place[:, 8:], rtol=0, atol=0)


def test_standardized_codes_have_mean_0_and_deviation_1_and_come_back() -> None:
    raw = torch.randn(500, 3, 4) * torch.rand(3, 4).add(0.2) + torch.randn(3, 4)
    raw[:, 1, 2] = 7.0
    moments = Moments.of(raw)
    found = moments.standardize(raw)
    assert found[:, 1, 2].abs().max() == 0
    assert not moments.live[1, 2]
    live = moments.live
    assert found.mean(0)[live].abs().max() < 1e-4
    assert (found.std(0)[live] - 1).abs().max() < 1e-4
    torch.testing.assert_close(moments.restore(found), raw, rtol=1e-4, atol=1e-4)


def test_the_global_code_is_cut_into_four_and_five_regions_follow() -> None:
    layout = region_vae.layout_of(RegionVAEConfig())
    assert (layout.tokens, layout.dim) == (9, 128)
    assert layout.groups["global"] == (0, 1, 2, 3)
    assert [layout.groups[name] for name in REGIONS] == [(4,), (5,), (6,), (7,), (8,)]
    whole, regions = torch.arange(512.0)[None], torch.zeros(1, 5, 128)
    assert region_vae.join(whole, regions)[0, 2, 3].item() == 2 * 128 + 3
    levels = e4e_stylegan2.layout_of(18, 512).groups
    assert (levels["coarse"], levels["middle"], levels["fine"]) == ((0, 1, 2, 3), (4, 5, 6, 7), tuple(range(8, 18)))


def test_taken_surroundings_show_outside_the_face_and_the_face_stays() -> None:
    """Over the linear path, where the composite is made: inside the face nearer its own, outside nearer the place's."""
    codec = _region_codec()
    tokens, place = torch.randn(2, 2, 9, 128).unbind(0)
    mixed = codec.surround(tokens, place)
    base = codec.model.domain_nets()[0].base
    shown = [
        base.decode(codec.moments.restore(z)[:, :4].flatten(1)).unflatten(1, (3, 16, 16))
        for z in (tokens, place, mixed)
    ]
    inside = face_mask(16)
    assert inside[8, 8] > 0.99 and inside[1, 1] < 0.01
    assert (face_mask(32) - face_mask(32).flip(1)).abs().mean() < 0.03
    apart = [((shown[2] - one) ** 2).mean(1) for one in shown[:2]]
    assert (apart[0] * inside).sum() < 0.4 * (apart[1] * inside).sum()
    assert (apart[1] * (1 - inside)).sum() < 0.4 * (apart[0] * (1 - inside)).sum()


def test_an_encoder_of_other_styles_is_refused() -> None:
    with torch.device("meta"):
        pair = E4EEncoder(4), StyleGAN2(StyleGAN2Config(16))
    with pytest.raises(UserError, match=r"generator's styles \[6, 512\], got \[4, 512\]"):
        e4e_stylegan2.E4EStyleGAN2Codec(*pair)


def test_the_encoder_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in E4EEncoder().parameters()) == 267_136_704

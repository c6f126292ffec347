"""Steps of the decoders: what is lowered, what is refused, and the paper's sizes in full."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rupantara.errors import MissingError
from rupantara.landmarks.points import keypoints_from
from rupantara.landmarks.texture import SIDE
from rupantara.models import face_decoder
from rupantara.models.face_decoder import FaceDecoder, FaceDecoderConfig, lay
from rupantara.models.landmark_decoder import LandmarkDecoder
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.synthetic import draw_face
from rupantara.training import decoders as steps
from rupantara.training.decoder_task import DecoderTask, begin
from rupantara.training.decoders import (
    Batch,
    DecoderObjective,
    LandmarkLosses,
    LossNetworks,
    PictureLosses,
    keypoints_of,
)
from rupantara.training.ridge import RidgeSums

TINY = TextureDecoderConfig(
    input_dim=12, start_channels=16, channels=(16, 12), convolutions=(1, 0), linear_rank=4, linear_side=14
)


def mean_points() -> torch.Tensor:
    points = draw_face("human", 0, size=SIDE).landmarks
    assert points is not None
    return torch.from_numpy(np.asarray(points, np.float32))


def batch(n: int = 8, dim: int = 12, side: int = 28) -> Batch:
    generator = torch.Generator().manual_seed(0)
    points = mean_points() + 3 * torch.randn(n, 68, 2, generator=generator)
    images = torch.rand(n, 3, side, side, generator=generator) * 2 - 1
    identities = nn.functional.normalize(torch.randn(n, 6, generator=generator), dim=1)
    return Batch(torch.randn(n, dim, generator=generator), points, images, identities)


class Embed(nn.Module):
    """A frozen stand-in for an identity network: pooled colours through a fixed matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mix", torch.randn(3 * 16, 6, generator=torch.Generator().manual_seed(1)))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(crops / 127.5 - 1, 4).flatten(1) @ self.mix


def build(part: str, texture: TextureDecoderConfig = TINY) -> nn.Module:
    torch.manual_seed(0)
    return face_decoder.build(FaceDecoderConfig(part, "any", hidden=(24,), texture=texture), mean_points())


def losses_of(part: str, objective: DecoderObjective, model: nn.Module) -> nn.Module:
    if part == "landmarks":
        return LandmarkLosses(model)
    return PictureLosses(model, part, objective, LossNetworks(embed=Embed()))


@pytest.mark.parametrize("part", face_decoder.PARTS)
def test_one_batch_is_learnt(part: str) -> None:
    objective = DecoderObjective(learning_rate=3e-2, ema_decay=0.5)
    state, rows = steps.start(build(part), objective), batch()
    losses = losses_of(part, objective, state.model)
    found = [float(steps.train_step(state, objective, losses, rows, 10**6)["loss"]) for _ in range(150)]
    assert found[-1] < 0.5 * found[0]
    assert state.seen == 150 * 8 and state.step == 150


@pytest.mark.parametrize("part", ["texture", "single", "joint"])
def test_the_identity_loss_turns_pictures_towards_their_vectors(part: str) -> None:
    objective = DecoderObjective(learning_rate=3e-3, identity_weight=1.0, identity_share=1.0)
    state, rows = steps.start(build(part), objective), batch()
    losses = losses_of(part, objective, state.model)
    found = [float(steps.train_step(state, objective, losses, rows, 10**6)["identity"]) for _ in range(60)]
    assert found[-1] < 0.7 * found[0]


def test_perceptual_and_moment_losses_add_by_their_weights_and_each_is_off_at_0() -> None:
    calls: list[int] = []

    def features(images: torch.Tensor) -> list[torch.Tensor]:
        calls.append(len(images))
        return [nn.functional.avg_pool2d(images, 2), nn.functional.avg_pool2d(images, 4)]

    model, rows = build("texture"), batch()
    found = {}
    for perceptual, moment in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.25)):
        objective = DecoderObjective(perceptual_weight=perceptual, moment_weight=moment)
        calls.clear()
        judging = LossNetworks(features=features) if perceptual else LossNetworks()
        parts = PictureLosses(model.eval(), "texture", objective, judging)(rows)
        assert len(calls) == (2 if perceptual else 0)
        assert set(parts) - {"loss", "mae"} == {n for n, w in (("perceptual", perceptual), ("moment", moment)) if w}
        found[perceptual, moment] = {name: float(value.detach()) for name, value in parts.items()}
    both = found[0.5, 0.25]
    assert both["loss"] == pytest.approx(both["mae"] + 0.5 * both["perceptual"] + 0.25 * both["moment"])
    assert both["moment"] == found[0.0, 0.5]["moment"] and both["moment"] > 0
    with pytest.raises(MissingError, match="perceptual loss needs its network"):
        PictureLosses(model, "texture", DecoderObjective(perceptual_weight=0.1), LossNetworks())


def test_a_texture_s_identity_is_that_of_the_face_it_makes_and_a_whole_face_s_its_own() -> None:
    objective = DecoderObjective(identity_weight=1.0, identity_share=1.0)
    model, rows = build("texture"), batch()
    embed = Embed()
    seen: list[torch.Tensor] = []

    def spy(crops: torch.Tensor) -> torch.Tensor:
        seen.append(crops)
        return embed(crops)

    for part in ("texture", "single"):
        PictureLosses(model.eval(), part, objective, LossNetworks(embed=spy))(rows)
    assert isinstance(model, TextureDecoder)
    made = model(rows.vectors)
    laid = lay(made, rows.points, model.mean_points)
    for crops, images in zip(seen, (laid, made), strict=True):
        wanted = steps.arcface_crop(images, keypoints_of((rows.points + 0.5) * (28 / SIDE) - 0.5))
        torch.testing.assert_close(crops, wanted)


def test_keypoints_are_those_of_the_numpy_code() -> None:
    points = batch().points
    wanted = np.stack([keypoints_from(p) for p in points.numpy()])
    np.testing.assert_allclose(keypoints_of(points).numpy(), wanted, rtol=1e-6)


def test_the_rate_is_the_paper_s_and_may_fall_to_the_end() -> None:
    objective = DecoderObjective()
    state, rows = steps.start(build("landmarks"), objective), batch()
    assert state.optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    losses = losses_of("landmarks", objective, state.model)
    rates = [float(steps.train_step(state, objective, losses, rows, 80)["lr"]) for _ in range(10)]
    assert rates == pytest.approx([1e-3 / (1 + 9.5e-5 * i) for i in range(10)])
    state, fallen = steps.start(build("landmarks"), objective), replace(objective, annealed=True)
    losses = losses_of("landmarks", objective, state.model)
    rates = [float(steps.train_step(state, fallen, losses, rows, 80)["lr"]) for _ in range(10)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.1 * rates[0]


@pytest.mark.parametrize("name", ["perceptual", "identity"])
def test_a_loss_without_its_network_is_an_error(name: str) -> None:
    objective = replace(DecoderObjective(), **{f"{name}_weight": 0.1})
    with pytest.raises(MissingError, match=name):
        PictureLosses(build("texture"), "texture", objective, LossNetworks())


def test_a_linear_path_starts_from_the_regression() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(2.0, [0.5] * 6 + [3.0] * 6, (300, 12)).astype(np.float32)
    mix = rng.normal(size=(12, 3)) @ rng.normal(size=(3, 3 * 14 * 14))
    targets = (vectors @ mix * 0.05).astype(np.float32)
    sums = RidgeSums.empty(12, targets.shape[1])
    sums.update(vectors, targets)
    down, up, *_ = sums.basis().reduced(1e-6, 4)
    warm = {"mean": vectors.mean(0), "deviations": sums.deviations, "mean_points": mean_points().numpy()}
    model = build("texture", replace(TINY, channels=(16,), convolutions=(1,)))
    warm |= {"down": down * sums.deviations[:, None], "shift": np.zeros(4), "up": up, "picture": targets.mean(0)}
    begin(model, warm)
    with torch.inference_mode():
        made = model.eval()(torch.from_numpy(vectors[:5])).flatten(1).numpy()
    np.testing.assert_allclose(made, targets[:5], atol=0.02 * np.abs(targets).max())


def test_before_any_step_the_joint_model_s_face_is_its_texture() -> None:
    model = build("joint").eval()
    assert isinstance(model, FaceDecoder)
    made = model(batch().vectors)
    assert torch.equal(made.points, mean_points().expand(8, -1, -1))
    torch.testing.assert_close(made.images, made.textures, atol=1e-5, rtol=0)


def test_parts_about_two_mean_faces_do_not_join() -> None:
    landmarks, texture = build("landmarks"), build("texture")
    assert isinstance(landmarks, LandmarkDecoder) and isinstance(texture, TextureDecoder)
    texture.mean_points.add_(2.0)
    with pytest.raises(ValueError, match="one mean face"):
        FaceDecoder(landmarks, texture)


def test_the_paper_s_decoders_take_a_full_step_of_4096_numbers_to_224() -> None:
    warm = {"mean": np.zeros(4096), "deviations": np.ones(4096), "mean_points": mean_points().numpy()}
    rows = {
        "vector": np.random.default_rng(0).normal(size=(2, 4096)).astype(np.float32),
        "landmarks": mean_points().expand(2, -1, -1).numpy() + 2,
        "image": np.full((2, 224, 224, 3), 200, np.uint8),
    }
    for part in ("landmarks", "texture"):
        config = FaceDecoderConfig(part, "vggface")
        objective = DecoderObjective(bfloat16=part == "texture")
        task = DecoderTask(config, objective, LossNetworks(), warm, torch.device("cpu"))
        before = {name: p.detach().clone() for name, p in task.state.model.named_parameters()}
        found = task.step(task.modules(), {"face": rows}, 1000)
        assert torch.isfinite(found["loss"]) and float(found["gradient_norm"]) > 0
        # The landmark decoder's last layer starts at zero: the others move from the second step on.
        found = task.step(task.modules(), {"face": rows}, 1000)
        still = [n for n, p in task.state.model.named_parameters() if torch.equal(p, before[n])]
        assert not still, still
        assert torch.isfinite(found["loss"])

"""People of a flow prior: one seed is one person whatever is drawn beside, and bad wishes are refused in a line."""

from pathlib import Path

import pytest
import torch

from rupantara.errors import UserError
from rupantara.generation import flow_prior
from rupantara.generation.flow_prior import FlowCodePrior, WantedPerson
from rupantara.generation.people import SampledPeople
from rupantara.models.flow_prior import FlowPrior, FlowPriorConfig
from rupantara.storage import checkpoints

CONFIG = FlowPriorConfig(dim=4, width=16, blocks=1, embedding=8)
CODE_DIM, GLOBAL_DIM = 24, 4
CODEC = "ab" * 32


def model() -> FlowPrior:
    torch.manual_seed(0)
    made = FlowPrior(CONFIG, CODE_DIM).eval()
    for layer in (made.out, made.blocks[0].down):
        torch.nn.init.normal_(layer.weight, std=0.5)
    made.directions.copy_(torch.randn(CONFIG.dim, CODE_DIM))
    return made.requires_grad_(False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    content = flow_prior.config_dict(CONFIG, CODE_DIM, CODEC)
    checkpoints.write(str(tmp_path), content, model().state_dict(), "a card")
    return str(tmp_path)


def test_one_seed_is_one_person_and_truncation_moves_it() -> None:
    prior = FlowCodePrior(model(), "")
    first, again, other = (prior.sample(1, (0, number), GLOBAL_DIM) for number in (5, 5, 6))
    assert first[0].shape == (1, GLOBAL_DIM) and first[1].shape == (1, 5, 4)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.allclose(first[1], other[1])
    assert not torch.allclose(prior.sample(1, (0, 5), GLOBAL_DIM, 0.5)[1], first[1])


def test_people_are_drawn_where_the_network_lies() -> None:
    """On a device other than the CPU nothing of a sample is made on the CPU; `meta` stands for it."""
    prior = model().to("meta")
    drawn = prior.sample(torch.zeros(2, CONFIG.dim, device="meta"), torch.full((2, 3), -1, device="meta"), steps=2)
    assert drawn.device.type == "meta" and drawn.shape == (2, CODE_DIM)


def test_who_is_wanted_changes_who_is_drawn() -> None:
    women, men = (FlowCodePrior(model(), "", WantedPerson(sex=sex)) for sex in ("female", "male"))
    assert not torch.allclose(women.sample(1, 0, GLOBAL_DIM)[1], men.sample(1, 0, GLOBAL_DIM)[1])


def test_a_checkpoint_draws_as_the_network_it_was_written_from(checkpoint: str) -> None:
    loaded = flow_prior.load(checkpoint, CODEC)
    assert torch.equal(loaded.sample(2, 1, GLOBAL_DIM)[1], FlowCodePrior(model(), "").sample(2, 1, GLOBAL_DIM)[1])


def test_codes_of_another_network_are_refused(checkpoint: str) -> None:
    with pytest.raises(UserError, match="must draw codes of the network cdcd"):
        flow_prior.load(checkpoint, "cd" * 32)


@pytest.mark.parametrize(
    ("wish", "said"),
    [({"age": 130}, "0 to 120"), ({"age": -2}, "0 to 120"), ({"sex": "other"}, "male"), ({"group": 5}, "0 to 4")],
)
def test_wishes_that_cannot_be_are_refused(wish: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        WantedPerson(**wish)


def test_a_gaussian_is_not_asked_for_an_age(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="need --prior"):
        SampledPeople(str(tmp_path), wanted=WantedPerson(age=30)).sha256()


def test_a_region_vae_may_carry_a_flow_prior(tmp_path: Path) -> None:
    assert not flow_prior.beside(str(tmp_path))
    checkpoints.write(str(tmp_path / flow_prior.FOLDER), flow_prior.config_dict(CONFIG, CODE_DIM, CODEC), {}, "a card")
    assert flow_prior.beside(str(tmp_path)) == str(tmp_path / flow_prior.FOLDER)

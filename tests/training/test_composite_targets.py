"""Composites as targets: who is taught by one, that it is the renderer's, and that a decoder trained alone leaves the codes as they are."""

import copy

import numpy as np
import pytest
import torch

from rupantara.landmarks import align, donor
from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.points import MIRRORED_LANDMARKS
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.synthetic import draw_face
from rupantara.tensors import to_images, to_pictures
from rupantara.training import composite_targets
from rupantara.training.composite_targets import Points
from rupantara.training.region_vae import FaceBatch, Networks, RegionVAELosses, RegionVAEObjective, start, train_step

SIZE = 128
SMALL = RegionVAEConfig(
    size=SIZE,
    channels=(8, 16, 24, 32),
    decoder_channels=(8, 16, 24, 32),
    global_dim=8,
    region_dim=4,
    region_encoder_channels=(8, 16, 24),
    region_channels=8,
    species=("fox",),
    base_rank=4,
    region_base_rank=4,
)


def unknown(count: int, number: int) -> torch.Tensor:
    return torch.full((count, number, 2), torch.nan)


def faces(species: str, count: int) -> FaceBatch:
    """Drawn faces with their points."""
    pictures, points = [], []
    domain = "human" if species == "human" else "animal"
    for i in range(count):
        drawn = draw_face(species, i)
        cut = align.align(drawn.image, drawn.keypoints, domain, SIZE)
        pictures.append(cut.crop)
        five = align.transform_points(drawn.keypoints, cut.transform)
        if domain == "human":
            assert drawn.landmarks is not None
            points.append(align.transform_points(drawn.landmarks, cut.transform))
        else:
            points.append(np.stack([*five[:3], five[3:].mean(0), [np.nan] * 2, [np.nan] * 2]))
    found = torch.tensor(np.array(points), dtype=torch.float32)
    known = Points(found, unknown(count, 6)) if domain == "human" else Points(unknown(count, 68), found)
    boxes = torch.tensor(CANONICAL[domain]).expand(count, 6, 4).contiguous()
    species_index = torch.full((count,), int(domain == "animal"))
    five = torch.zeros(count, 5, 2)
    return FaceBatch(to_images(np.stack(pictures)), boxes, species_index, five, torch.zeros(count), known)


def made(people: FaceBatch, animals: FaceBatch, wanted: list[bool]) -> composite_targets.Composites:
    torch.manual_seed(0)
    both = people.join(animals)
    return composite_targets.make(both.images, both.points, len(wanted), torch.tensor(wanted), region_chance=0.4)


def test_targets_are_the_composites_of_the_rows_that_are_wanted() -> None:
    people, animals = faces("human", 4), faces("fox", 3)
    found = made(people, animals, [True, False, True, True])
    assert found.rows.tolist() == [0, 2, 3]
    assert all(4 <= row < 7 for row in found.donors.tolist())
    assert (found.amounts > 0).any(1).all() and found.amounts.max() <= 1
    pictures, lenders = to_pictures(people.images), to_pictures(animals.images)
    for row, lender, amounts, image in zip(*found, strict=True):
        lent = donor.prepare(lenders[lender - 4], animals.points.animal[lender - 4].double().numpy())
        shares = {r: a for r, a in zip(REGIONS, amounts.tolist(), strict=True) if a > 0}
        landmarks = people.points.landmarks[row].double().numpy()
        expected = composite(pictures[row], landmarks, [DonorShare(lent, shares)])
        assert np.array_equal(to_pictures(image[None])[0], expected)


def test_faces_without_points_are_left_out() -> None:
    people, animals = faces("human", 3), faces("fox", 2)
    for missing in (torch.nan, 5.0):
        # Points that are not known, and points that span no face.
        people.points.landmarks[1] = missing
        assert made(people, animals, [True] * 3).rows.tolist() == [0, 2]
    animals.points.animal[:, 2] = torch.nan
    assert made(people, animals, [True] * 3).images.shape == (0, 3, SIZE, SIZE)


def test_points_of_a_mirrored_face_are_the_mirrors_of_its_points() -> None:
    order = list(MIRRORED_LANDMARKS)
    assert sorted(order) == list(range(68)) and [order[i] for i in order] == list(range(68))
    people = faces("human", 1)
    flipped = people.points.mirrored(torch.tensor([True]), SIZE)
    # The picture's left eye is on the left in the mirror too.
    assert flipped.landmarks[0, 36:42, 0].mean() < flipped.landmarks[0, 42:48, 0].mean()
    assert flipped.landmarks[0, 0, 0] < flipped.landmarks[0, 16, 0]
    x, y = people.points.landmarks[0, 45].tolist()
    assert flipped.landmarks[0, 36].tolist() == pytest.approx([SIZE - 1 - x, y])
    animals = faces("fox", 1)
    x, y = animals.points.animal[0, 1].tolist()
    assert animals.points.mirrored(torch.tensor([True]), SIZE).animal[0, 0].tolist() == pytest.approx([SIZE - 1 - x, y])
    assert torch.equal(people.points.mirrored(torch.tensor([False]), SIZE).landmarks, people.points.landmarks)


def test_a_decoder_trained_alone_learns_and_leaves_codes_to_the_bit() -> None:
    torch.manual_seed(0)
    people, animals = faces("human", 4), faces("fox", 3)
    objective = RegionVAEObjective(
        learning_rate=4e-3,
        lr_warm_up_images=1,
        swap_share=1.0,
        composite_share=1.0,
        decoder_only=True,
        structural_weight=0,
        bfloat16=False,
    )
    state = start(RegionVAE(SMALL), objective)
    before = copy.deepcopy(state.model)
    losses = RegionVAELosses(state.model, objective, Networks())
    steps = [train_step(state, objective, losses, people, animals, 1000)["human_mse"] for _ in range(12)]
    assert sum(steps[-3:]) < 0.9 * sum(steps[:3])
    for model in (state.model, state.average):
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                before.encode(people.images, people.boxes, people.species),
                model.encode(people.images, people.boxes, people.species),
                strict=True,
            )
        )
    moved = {
        name for name, value in state.model.state_dict().items() if not torch.equal(value, before.state_dict()[name])
    }
    assert moved and all(".decoder." in name for name in moved)

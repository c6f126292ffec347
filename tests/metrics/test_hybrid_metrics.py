"""Species, identity and seams of hybrids: literals, and batches that merge to the whole."""

import cv2
import numpy as np
import pytest

from rupantara.metrics.identity_rank import IdentityStats
from rupantara.metrics.seam import SeamStats
from rupantara.metrics.species_classes import CLASSES, SpeciesStats, group_scores

RNG = np.random.default_rng(0)


def test_groups_are_apart_and_sum_their_classes() -> None:
    taken = [i for first, last in CLASSES.values() for i in range(first, last + 1)]
    assert len(taken) == len(set(taken)) and max(taken) < 1000
    one = np.zeros((1, 1000), np.float32)
    one[0, 281:286] = 0.1
    assert group_scores(one)[0, list(CLASSES).index("cat")] == pytest.approx(np.log(0.5))


def test_a_classifier_that_likes_dogs_is_centred() -> None:
    probabilities = np.full((4, 1000), 1e-6, np.float32)
    probabilities[:, 200] = 0.9
    probabilities[0, 292], probabilities[1, 292], probabilities[2, 291], probabilities[3, 291] = 0.05, 0.04, 0.05, 0.04
    found = SpeciesStats.update(probabilities, ["tiger", "tiger", "lion", "tiger"]).compute()
    assert found == {"top1": 0.75, "lion": 1.0, "tiger": pytest.approx(2 / 3)}


def test_merged_batches_count_as_one() -> None:
    probabilities, names = RNG.dirichlet(np.ones(1000), 12), [list(CLASSES)[i % 8] for i in range(12)]
    parts = SpeciesStats.update(probabilities[:5], names[:5]).merge(SpeciesStats.update(probabilities[5:], names[5:]))
    assert parts.compute() == SpeciesStats.update(probabilities, names).compute()
    people, vectors, own = RNG.normal(size=(6, 8)), RNG.normal(size=(12, 8)), np.arange(12) % 6
    one = IdentityStats.update(vectors, people, own)
    two = IdentityStats.update(vectors[:5], people, own[:5]).merge(IdentityStats.update(vectors[5:], people, own[5:]))
    assert one.first == two.first and one.total == pytest.approx(two.total)


def test_identity_counts_who_is_nearest() -> None:
    people = np.eye(3)
    vectors = np.array([(0.9, 0.1, 0), (0.1, 0.9, 0), (0.9, 0.1, 0), (0.5, 0.5, 0)])
    found = IdentityStats.update(vectors, people, np.array([0, 1, 2, 0]))
    assert found.first == 2 and found.compute()["rank1"].value == 0.5
    assert IdentityStats.update(people, people, np.arange(3)).compute()["cosine"].value == pytest.approx(1.0)


def test_a_hard_paste_has_a_seam_and_an_untouched_picture_has_none() -> None:
    picture = cv2.GaussianBlur(RNG.integers(0, 256, (256, 256, 3)).astype(np.uint8), (0, 0), 3)
    mask = np.zeros((256, 256), np.uint8)
    cv2.circle(mask, (128, 128), 60, 255, -1)
    pasted = np.where(mask[..., None] > 0, np.clip(picture.astype(int) + 60, 0, 255), picture).astype(np.uint8)
    plain, seam = (SeamStats.update(p, mask).compute() for p in (picture, pasted))
    assert 0.7 < plain < 1.4 and seam > 5 * plain


def test_a_mask_without_a_border_is_refused() -> None:
    with pytest.raises(ValueError, match="border"):
        SeamStats.update(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)).compute()

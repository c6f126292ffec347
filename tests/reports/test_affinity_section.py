"""Which species is first is said with how sure that is."""

import numpy as np

from rupantara.landmarks.regions import REGIONS
from rupantara.reports.sections import _lead, _per_face


def test_values_are_arranged_whatever_their_order() -> None:
    names, wanted = ["bear", "cat"], np.random.default_rng(0).normal(size=(3, len(REGIONS), 2))
    rows = [
        (f"f{f}", r, s, wanted[f, i, j]) for f in range(3) for i, r in enumerate(REGIONS) for j, s in enumerate(names)
    ]
    order = np.random.default_rng(1).permutation(len(rows))
    ids, regions, species, values = (np.array([rows[i][k] for i in order]) for k in range(4))
    np.testing.assert_array_equal(_per_face(ids, regions, species, values.astype(float), names), wanted)


def test_a_lead_holds_beyond_its_interval_only() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(400, 1))
    # Faces differ far more than the two species do, but the second is always a little less near.
    steady = common + np.array([0.02, 0.0]) + 0.01 * rng.normal(size=(400, 2))
    said, holds = _lead(steady, np.array([0, 1]))
    assert holds and 0.018 < float(said.partition(" ± ")[0]) < 0.022
    noise = rng.normal(size=(400, 2))
    order = np.argsort(-noise.mean(0))
    assert not _lead(noise, order)[1]
    assert _lead(steady[:, :1], np.array([0])) == ("alone", False)
    said, holds = _lead(steady[:1], np.array([0, 1]))
    assert said.endswith("(one face: no interval)") and not holds


def test_of_two_equal_species_one_leads_in_one_of_twenty_cases_however_few_the_faces() -> None:
    rng = np.random.default_rng(1)
    for faces in (2, 5, 50):
        drawn = rng.normal(size=(2000, faces, 2))
        held = np.mean([_lead(one, np.argsort(-one.mean(0)))[1] for one in drawn])
        assert 0.03 < held < 0.07, faces

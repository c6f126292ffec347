"""The fingerprint changes with all that decides rows, and with nothing else."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

BASE = Recipe("curate", 1, {"size": 256, "rules": ["a", "b"]}, {"photos": "aa"}, {"yunet": "bb"})
CHANGES = {
    "job": {"job": "extract"},
    "version": {"version": 2},
    "config.size": {"config": {"size": 128, "rules": ["a", "b"]}},
    "config.rules": {"config": {"size": 256, "rules": ["b", "a"]}},
    "config.seed": {"config": {"size": 256, "rules": ["a", "b"], "seed": 0}},
    "inputs.photos": {"inputs": {"photos": "ab"}},
    "models.yunet": {"models": {}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_changes_the_fingerprint_and_is_named(name: str) -> None:
    other = replace(BASE, **CHANGES[name])
    assert other.fingerprint != BASE.fingerprint
    (difference,) = BASE.differences(other)
    assert difference.startswith(f"{name}: ")


def test_differences_read_from_the_old_value_to_the_new() -> None:
    other = replace(BASE, job="extract", config={"size": 128, "rules": ["a", "b"]}, models={})
    assert BASE.differences(other) == [
        "config.size: 256 -> 128",
        'job: "curate" -> "extract"',
        'models.yunet: "bb" -> None',
    ]


def test_equal_recipes_are_equal_whatever_the_order_of_their_keys() -> None:
    turned = replace(BASE, config=dict(reversed(BASE.config.items())))
    assert list(turned.config) != list(BASE.config)
    assert turned.fingerprint == BASE.fingerprint
    assert turned.differences(BASE) == []


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 0.5, 1.0])
    | st.sampled_from(["", "0", "null", "None"])
)
CONFIGS = st.dictionaries(st.sampled_from("abc"), VALUES | st.lists(VALUES, max_size=2), max_size=3)


@given(CONFIGS, CONFIGS)
def test_fingerprints_are_equal_exactly_when_nothing_differs(one: dict, other: dict) -> None:
    first, second = replace(BASE, config=one), replace(BASE, config=other)
    assert (first.fingerprint == second.fingerprint) == (first.differences(second) == [])


OLD = {"job": "curate", "code": "c0de", "config": {"size": 256}, "inputs": {"photos": "aa"}, "models": {}}


def test_a_recipe_of_before_the_versions_keeps_its_fingerprint() -> None:
    read = Recipe.from_json(OLD)
    assert read.fingerprint == hashlib.sha256(json.dumps(OLD, sort_keys=True).encode()).hexdigest()
    assert read.as_json() == OLD


def test_an_old_recipe_differs_from_todays_in_its_version() -> None:
    today = Recipe("curate", 1, OLD["config"], OLD["inputs"])
    assert Recipe.from_json(OLD).differences(today) == ['code: "c0de" -> None', "version: None -> 1"]


@given(CONFIGS)
def test_a_recipe_survives_its_json(config: dict) -> None:
    recipe = RecipeSpec("extract", 7).of(config, {"faces": "aa"})
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_the_shipped_outputs_are_still_what_their_manifests_say() -> None:
    for name in ("bank", "region_vae"):
        text = (Path(__file__).parents[2] / "pretrained" / name / "manifest.json").read_bytes()
        assert Manifest.from_json(text).fingerprint == json.loads(text)["fingerprint"]

"""A packed model encodes and decodes as the one it was made of, and comes back from its checkpoint."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from rupantara import schema
from rupantara.faces.arrays import FaceArrays, load
from rupantara.generation import loading, prior
from rupantara.generation.prior import CodePrior
from rupantara.landmarks.regions import CANONICAL
from rupantara.models.region_vae import RegionVAE
from rupantara.stages import pack
from tests.drawn import CONFIG, face_row, tiny_model, write_model


@pytest.fixture(scope="module")
def faces() -> FaceArrays:
    rows = [face_row(f"{species}-{i}", species, i) for species in ("human", "cat") for i in range(3)]
    return load(pa.Table.from_pylist(rows, schema=schema.FACES), CONFIG.size)


@pytest.fixture(params=[False, True], ids=["one network", "a network a domain"])
def model(request: pytest.FixtureRequest) -> RegionVAE:
    """A network whose variances depend on the face, as after training."""
    made = tiny_model(separate_domains=request.param)
    generator = torch.Generator().manual_seed(1)
    for net in made.domain_nets():
        for head in (*net.global_encoder.heads, *net.region_encoder.heads):
            head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 0.03)
            head.bias[len(head.bias) // 2 :] = -2.0
    return made


def domains_of(faces: FaceArrays) -> torch.Tensor:
    return CONFIG.domain_index(faces.rows["domain"].to_pylist())


def test_separate_networks_keep_the_variances_of_their_own_domain(faces: FaceArrays) -> None:
    torch.manual_seed(0)
    both = RegionVAE(dataclasses.replace(CONFIG, separate_domains=True)).eval()
    seen, species = pack.posteriors(both, faces), domains_of(faces)
    shifted = seen._replace(global_logvar=seen.global_logvar + species[:, None].float())
    packed = pack.without_variances(both, shifted, species)
    human, animal = (net.get_buffer("global_logvar") for net in packed.domain_nets())
    torch.testing.assert_close(human, shifted.global_logvar[species == 0].mean(0))
    torch.testing.assert_close(animal, shifted.global_logvar[species > 0].mean(0))
    assert float((animal - human).mean()) > 0.5


def test_means_are_the_same_and_variances_those_of_the_mean(model: RegionVAE, faces: FaceArrays) -> None:
    before = pack.posteriors(model, faces)
    assert float(before.global_logvar.std(0).min()) > 0
    packed = pack.without_variances(model, before, domains_of(faces))
    after = pack.posteriors(packed, faces)
    torch.testing.assert_close(after.global_mu, before.global_mu, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.regions_mu, before.regions_mu, atol=1e-5, rtol=1e-5)
    species = domains_of(faces)
    groups = [species == 0, species > 0] if model.config.separate_domains else [species >= 0]
    for rows in groups:
        for name in ("global_logvar", "regions_logvar"):
            told = getattr(before, name)[rows]
            torch.testing.assert_close(getattr(after, name)[rows], told.mean(0).expand_as(told))
    assert sum(t.numel() for t in packed.state_dict().values()) < sum(t.numel() for t in model.state_dict().values())


def test_posteriors_are_the_model_s_own_in_order(model: RegionVAE, faces: FaceArrays, monkeypatch) -> None:
    monkeypatch.setattr(pack, "BATCH", 4)
    found = pack.posteriors(model, faces)
    for i in range(len(faces.pictures)):
        alone = faces.slice(i, 1)
        species = torch.tensor([int(i >= 3)])
        expected = model.encode(alone.images(), torch.from_numpy(alone.boxes), species)
        for part, one in zip(found, expected, strict=True):
            torch.testing.assert_close(part[i], one[0], atol=1e-5, rtol=1e-4)


def test_through_its_checkpoint_it_is_the_same_within_half_precision(
    model: RegionVAE, faces: FaceArrays, tmp_path
) -> None:
    packed = pack.without_variances(model, pack.posteriors(model, faces), domains_of(faces))
    tensors = pack.halved(packed)
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    uri = write_model(str(tmp_path / "packed"), packed, tensors)
    rng = np.random.default_rng(0)
    width = CONFIG.global_dim + 5 * CONFIG.region_dim
    people = CodePrior(
        rng.normal(size=width).astype(np.float32),
        rng.normal(size=(3, width)).astype(np.float32),
        np.array(CANONICAL["human"], np.float32),
    )
    (tmp_path / "packed" / prior.FILE).write_bytes(prior.as_bytes(people))
    found = loading.load(uri)
    assert found.model.config == packed.config and not found.model.config.variances
    assert next(found.model.parameters()).dtype == torch.float32
    before, after = pack.posteriors(model, faces), pack.posteriors(found.model, faces)
    for name in ("global_mu", "regions_mu"):
        expected = getattr(before, name)
        assert float((getattr(after, name) - expected).norm() / expected.norm()) < 3e-3
    for rows in (slice(0, 3), slice(3, 6)):
        assert float((after.global_logvar[rows] - after.global_logvar[rows][0]).abs().max()) == 0
    species, boxes = torch.tensor([0, 0, 0, 1, 1, 1]), torch.from_numpy(faces.boxes)
    with torch.inference_mode():
        pictures = [m.decode(before.global_mu, before.regions_mu, boxes, species) for m in (model, found.model)]
    assert float((pictures[0] - pictures[1]).abs().max() / pictures[0].abs().max()) < 1e-2
    assert found.prior is not None
    np.testing.assert_allclose(found.prior.directions, people.directions, rtol=1e-3, atol=1e-3)

"""PCA against an independent decomposition."""

import numpy as np
import pytest

from rupantara.training.warm_start import fit_pca


@pytest.mark.parametrize(("rows", "dim"), [(40, 90), (200, 30)])
def test_components_are_those_of_a_singular_value_decomposition(rows, dim):
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(rows, dim)) * np.linspace(3, 0.1, dim)).astype(np.float32)
    pca = fit_pca(data, 5)
    _, values, vectors = np.linalg.svd(data - data.mean(0), full_matrices=False)
    np.testing.assert_allclose(pca.deviations, values[:5] / np.sqrt(rows), rtol=1e-3)
    np.testing.assert_allclose(np.abs((pca.components * vectors[:5]).sum(1)), 1, atol=1e-3)


def test_repeated_rows_leave_no_component_of_rounding():
    rng = np.random.default_rng(1)
    data = rng.normal(size=(10, 50)).astype(np.float32)
    pca = fit_pca(np.concatenate([data, data, data]), 25)
    assert len(pca.components) == 9
    np.testing.assert_allclose(pca.reconstruct(data), data, atol=1e-4)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(9), atol=1e-4)


def test_equal_rows_are_refused():
    with pytest.raises(ValueError, match="rows that differ"):
        fit_pca(np.ones((4, 8), np.float32), 2)

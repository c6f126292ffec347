"""Stores of vectors: a scan on a GPU answers like one here (the GPU's own code runs only where there is one)."""

import faiss
import numpy as np
import pytest

from rupantara.bank import store
from rupantara.bank.store import GpuStore, VectorStore, as_store, gpu_there
from rupantara.metrics.cosine import unit


@pytest.fixture
def gpu(monkeypatch):
    """Let FAISS have a GPU; where it has none, its index on the CPU stands for the one there."""
    if not gpu_there():
        monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(faiss, "GpuIndexFlatIP", lambda _, dim: faiss.IndexFlatIP(dim), raising=False)
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)


def test_a_gpu_s_answers_are_the_scan_s(gpu, monkeypatch):
    monkeypatch.setattr(store, "MOST_ON_GPU", 20)
    vectors = unit(np.random.default_rng(0).normal(size=(500, 16)))[0].astype(np.float32)
    queries = unit(np.random.default_rng(1).normal(size=(7, 16)))[0].astype(np.float32)
    there, here = as_store(vectors, None), VectorStore(vectors)
    assert isinstance(there, GpuStore)
    for runs in (((0, 500),), ((10, 60), (400, 450))):
        for fetch in (1, 10, 30, 500):
            for a, b in zip(there.nearest(queries, runs, fetch), here.nearest(queries, runs, fetch), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)


def test_without_a_gpu_the_scan_is_here():
    if gpu_there():
        pytest.skip("this machine has one")
    assert type(as_store(np.eye(4, dtype=np.float32), None)) is VectorStore

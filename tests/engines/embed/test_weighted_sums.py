"""Weighted sums of gene vectors: against float64, and the same whatever the threads and the other cells."""

from __future__ import annotations

import os
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from genept.engines.genept_w.weighted_sums import DIMENSIONS, GENES, weighted_sums

N_CELLS = 23


def make(n_genes: int, n_dimensions: int, density: float) -> tuple[sp.csr_matrix, np.ndarray]:
    weights = sp.random(N_CELLS, n_genes, density, format="csr", dtype=np.float32, random_state=0)
    return weights, np.random.default_rng(0).normal(size=(n_genes, n_dimensions)).astype(np.float32)


@pytest.mark.parametrize("n_genes", [1, 40, GENES, 2 * GENES + 7])
@pytest.mark.parametrize("n_dimensions", [1, 40, DIMENSIONS, DIMENSIONS + 44])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_sums_are_those_of_float64(n_genes: int, n_dimensions: int, density: float) -> None:
    weights, vectors = make(n_genes, n_dimensions, density)
    found = weighted_sums(weights, vectors)
    assert found.dtype == np.float32 and found.shape == (N_CELLS, n_dimensions)
    exact = weights.toarray().astype(float) @ vectors.astype(float)
    lengths = weights.toarray().astype(float) @ np.abs(vectors).astype(float)
    assert (np.abs(found - exact) <= 1e-6 * lengths).all()


@given(
    n_threads=st.integers(1, 40), cells=st.lists(st.integers(0, N_CELLS - 1), max_size=40), shuffled=st.integers(0, 99)
)
def test_sums_are_the_same_to_the_bit_for_any_threads_cells_and_order_of_stored_values(
    n_threads: int, cells: list[int], shuffled: int
) -> None:
    weights, vectors = make(60, 30, 0.3)
    everything = weighted_sums(weights, vectors)
    part = weights[cells]
    rng = np.random.default_rng(shuffled)
    for start, end in zip(part.indptr[:-1], part.indptr[1:], strict=True):
        order = start + rng.permutation(end - start)
        part.indices[start:end], part.data[start:end] = part.indices[order], part.data[order]
    part.has_sorted_indices = False
    before = part.indices.copy()
    with mock.patch.dict(os.environ, OMP_NUM_THREADS=str(n_threads)):
        np.testing.assert_array_equal(weighted_sums(part, vectors), everything[cells])
    np.testing.assert_array_equal(part.indices, before)

"""Counts from log-normalised values: the tokens are those of the counts, and what is no logarithm of counts is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from genept.engines.geneformer import ranking
from genept.engines.geneformer.logarithms import counts_of
from tests.engines.geneformer.made import V1, V2, small


def normalise(counts: np.ndarray, target: float, base: float, dtype: type = np.float32) -> sparse.csr_matrix:
    """As scanpy's normalize_total and log1p, which compute in the matrix's own type."""
    x: np.ndarray = counts.astype(dtype)
    totals = x.sum(axis=1, keepdims=True)
    x = np.log1p(x / (np.where(totals > 0, totals, 1) / dtype(target)))
    x = x if base == math.e else x / dtype(np.log(base))
    return sparse.csr_matrix(x.astype(np.float32))


N_GENES = 12
few = st.integers(0, 6)
many = st.integers(0, 5_000)
cell = st.lists(st.one_of(st.just(0), few, many), min_size=N_GENES, max_size=N_GENES)


@given(
    rows=st.lists(cell, min_size=1, max_size=4),
    factor=st.integers(1, 11),
    target=st.sampled_from([1e4, 1e6, 713.5]),
    base=st.sampled_from([math.e, 2.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_unseen=st.integers(0, 20_000),
)
def test_tokens_are_those_of_the_counts(
    rows: list[list[int]], factor: int, target: float, base: float, dtype: type, n_unseen: int
) -> None:
    """Also where the smallest count is not 1, and where the total had more genes than the file."""
    counts = np.array(rows) * factor
    counts[:, :2] = [2 * factor, 3]
    values = normalise(np.column_stack([counts, np.full(len(counts), n_unseen)]), target, base, dtype)[:, :N_GENES]
    found, of_base = counts_of(values.tocsr())
    assert found is not None, of_base
    divisors = np.gcd.reduce(counts, axis=1)
    np.testing.assert_array_equal(found.toarray(), counts // divisors[:, None])
    for entries in (small(V1, N_GENES), small(V2, N_GENES)):
        genes = ranking.match(list(entries.medians), entries)
        tokens = [ranking.rank(x, genes, entries, 100)[0] for x in (sparse.csr_matrix(counts), found)]
        assert [ours.tolist() for ours in tokens[1]] == [theirs.tolist() for theirs in tokens[0]]


COUNTS = np.random.default_rng(0).poisson(3, size=(20, 50))
NATURAL = normalise(COUNTS, 1e4, math.e)


@pytest.mark.parametrize(
    ("values", "base"), [(NATURAL, "e"), (normalise(COUNTS, 1e4, 2), "2"), (normalise(COUNTS % 2, 1e4, 2), "e")]
)
def test_the_base_is_told_unless_all_counts_are_equal(values: sparse.csr_matrix, base: str) -> None:
    assert counts_of(values)[1] == base


@pytest.mark.parametrize(
    ("values", "n_unlike"),
    [
        (normalise(COUNTS, 1e4, 10), 20),
        (NATURAL / NATURAL.max(), 20),  # scaled
        (sparse.csr_matrix(np.round(NATURAL.toarray(), 3)), 20),
        (normalise(COUNTS * np.random.default_rng(1).uniform(0.5, 2, 50), 1e4, math.e), 20),  # corrected by gene
        ((NATURAL + NATURAL[::-1]) / 2, 20),  # averaged
        (sparse.vstack([NATURAL[:17], NATURAL[17:] * 1.01], format="csr"), 3),
        (sparse.csr_matrix(np.log1p(np.array([[2.0, 3e7]]))), 1),
        (sparse.csr_matrix(np.log1p(np.array([[13.0, 14.0]]))), 1),
    ],
)
def test_other_values_are_not_taken_for_logarithms_of_counts(values: sparse.csr_matrix, n_unlike: int) -> None:
    counts, reason = counts_of(values.astype(np.float32))
    assert counts is None
    assert reason == f"expm1 (base e) gives no multiples of one count in {n_unlike} of {values.shape[0]} cells"

"""Neighbours balanced over batches, against a search by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.annotation import graph

pytestmark = pytest.mark.xdist_group("umap")


def by_hand(points: np.ndarray, batches: np.ndarray, share: int) -> list[list[tuple[float, int]]]:
    rows = []
    for point in points:
        row = []
        for name in sorted(set(batches)):
            members = [i for i in range(len(points)) if batches[i] == name]
            row += sorted((float(np.sqrt(((point - points[i]) ** 2).sum())), i) for i in members)[:share]
        rows.append(sorted(row))
    return rows


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 4), st.integers(3, 12), st.booleans())
def test_they_are_the_nearest_of_every_batch(
    seed: int, n_cells: int, n_batches: int, n_neighbors: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(-2, 3, size=(n_cells, 2)).astype(float) if ties else rng.normal(size=(n_cells, 3))
    if ties:  # no more cells in one place than candidates are asked for
        points[:, 0] += 10 * (np.arange(n_cells) // 6)
    batches = rng.integers(n_batches, size=n_cells)
    indices, distances = graph.balanced_neighbors(points, batches, n_neighbors)
    expected = by_hand(points, batches, graph.per_batch(n_neighbors, len(set(batches))))
    assert indices.tolist() == [[i for _, i in row] for row in expected]
    np.testing.assert_allclose(distances, [[distance for distance, _ in row] for row in expected], rtol=1e-12)


def test_each_batch_gives_an_equal_part_and_at_least_three() -> None:
    assert [graph.per_batch(15, n) for n in (1, 2, 4, 5, 20)] == [15, 7, 3, 3, 3]


def test_a_batch_with_fewer_cells_gives_what_it_has() -> None:
    points = np.arange(9, dtype=float)[:, np.newaxis]
    indices, _ = graph.balanced_neighbors(points, np.array(["a"] * 7 + ["b"] * 2), 8)
    assert indices.shape == (9, 4 + 2)
    assert set(indices[0]) == {0, 1, 2, 3, 7, 8}


def test_weights_are_symmetric_and_one_for_the_nearest() -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    indices, distances = graph.balanced_neighbors(points, np.arange(40) % 2, 6)
    weights = graph.connect(indices, distances).toarray()
    np.testing.assert_array_equal(weights, weights.T)
    assert weights.diagonal().sum() == 0
    np.testing.assert_allclose(weights[np.arange(40), indices[:, 1]], 1.0, rtol=1e-5)
    joined = np.zeros((40, 40), dtype=bool)
    joined[np.repeat(np.arange(40), 6), indices.ravel()] = True
    np.fill_diagonal(joined, False)
    assert not weights[~(joined | joined.T)].any()


def test_clusters_are_numbered_by_size_then_by_their_first_cell() -> None:
    assert list(graph.by_size(np.array([5, 1, 1, 7, 5, 3, 3, 3]))) == [1, 2, 2, 3, 1, 0, 0, 0]

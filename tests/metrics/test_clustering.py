"""k-means as the authors run it, principal components and silhouettes against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from genept.core import params
from genept.metrics import clustering, neighbours, targets

AUTHORS = params.KMeans(algorithm="minibatch", batch_size=20, n_init=3, pca_for_patient=50)


def test_one_run_is_the_authors_own_call_and_full_is_k_means(recwarn: pytest.WarningsRecorder) -> None:
    matrix = np.random.default_rng(0).normal(size=(300, 8))
    minibatch = MiniBatchKMeans(n_clusters=5, random_state=2023, batch_size=20, n_init=3).fit_predict(matrix)
    np.testing.assert_array_equal(clustering.kmeans(matrix, 5, AUTHORS, 2023), minibatch)
    config = AUTHORS.model_copy(update={"algorithm": "full"})
    full = KMeans(n_clusters=5, random_state=7, n_init=3).fit_predict(matrix)
    np.testing.assert_array_equal(clustering.kmeans(matrix, 5, config, 7), full)
    # fewer distinct cells than clusters
    assert len(np.unique(clustering.kmeans(np.ones((4, 2)), 3, AUTHORS, 0))) < 3
    assert not recwarn.list


def test_repeats_start_with_the_seed_and_share_none_with_the_next_seed() -> None:
    first, second = targets.seeds(0, 10), targets.seeds(1, 10)
    assert (first[0], second[0]) == (0, 1)
    assert len({*first, *second}) == 20
    assert targets.seeds(0, 4) == first[:4] and targets.seeds(5, 1) == [5]


@pytest.mark.parametrize("shape", [(60, 12), (20, 40), (30, 4)])
def test_principal_components_are_scikit_learns_up_to_mirroring(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(3).normal(size=shape) + 5
    ours = clustering.principal_components(matrix, 6)
    theirs = PCA(min(6, *shape), svd_solver="full").fit_transform(matrix)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-8)


@pytest.mark.parametrize("tile", [1, 7, 512])
def test_silhouettes_equal_scikit_learns(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "TILE", tile)
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(40, 5)) + 1000  # far from the origin, where products lose digits
    many, two = rng.integers(5, size=40), rng.integers(2, size=40)
    many[0] = 5  # a class of one cell
    partial = np.where(np.arange(40) < 10, -1, two)
    expected = [silhouette_score(matrix, many), silhouette_score(matrix, two), silhouette_score(matrix[10:], two[10:])]
    assert clustering.average_widths(matrix, np.array([many, two, partial])) == pytest.approx(expected, abs=1e-9)
    assert clustering.average_widths(matrix, partial[None]) == pytest.approx(expected[2:], abs=1e-9)
    assert clustering.average_widths(np.ones((4, 2)), np.array([[0, 1, 0, 1]])) == [0.0]  # all cells equal
    distances: list[tuple[params.Distance, np.ndarray]] = [("cosine", matrix)]
    distances.append(("centred_cosine", matrix - matrix.mean(axis=0)))
    for distance, points in distances:
        expected = [silhouette_score(points, many, metric="cosine")]
        assert clustering.average_widths(matrix, many[None], distance) == pytest.approx(expected, abs=1e-6)


def test_silhouettes_and_neighbours_are_the_same_to_the_bit_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    matrix, labelings = rng.normal(size=(700, 30)), rng.integers(9, size=(1, 700))
    monkeypatch.setattr(clustering, "TILE", 16)
    monkeypatch.setattr(neighbours, "BLOCK", 1000)
    runs = []
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        with threadpool_limits(limits=1):
            ranked = neighbours.rank(matrix, 10, "cosine").tolist()
            runs.append((clustering.average_widths(matrix, labelings), ranked))
    assert runs[0] == runs[1] == runs[2]

"""k-means as the authors run it, principal components and silhouettes against scikit-learn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from genept.core import params
from genept.metrics import agreement, clustering, minibatch, neighbours, targets
from genept.metrics.minibatch import Run

AUTHORS = params.KMeans(algorithm="minibatch", batch_size=20, n_init=3, pca_for_patient=50)


def runs_of(matrix: np.ndarray, *seeds: int) -> list[Run]:
    return [Run(matrix, np.arange(len(matrix)), seed) for seed in seeds]


def test_one_run_is_the_authors_own_call_and_full_is_k_means(recwarn: pytest.WarningsRecorder) -> None:
    matrix = np.random.default_rng(0).normal(size=(300, 8))
    theirs = MiniBatchKMeans(n_clusters=5, random_state=2023, batch_size=20, n_init=3).fit_predict(matrix)
    (ours,) = clustering.kmeans(runs_of(matrix, 2023), 5, AUTHORS)
    np.testing.assert_array_equal(ours, theirs)
    config = AUTHORS.model_copy(update={"algorithm": "full"})
    full = KMeans(n_clusters=5, random_state=7, n_init=3).fit_predict(matrix)
    np.testing.assert_array_equal(clustering.kmeans(runs_of(matrix, 7), 5, config)[0], full)
    # fewer distinct cells than clusters
    assert len(np.unique(clustering.kmeans(runs_of(np.ones((4, 2)), 0), 3, AUTHORS)[0])) < 3
    assert not recwarn.list


def test_sums_of_distances_are_held_once_a_thread_and_equal_for_any_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = np.random.default_rng(0).normal(size=(4000, 2))
    members = np.eye(100)[np.arange(4000) % 100]
    sums = list[np.ndarray]()
    monkeypatch.setattr(clustering, "TILE", 100)
    for n_threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", n_threads)
        tracemalloc.start()
        sums.append(clustering.distance_sums(matrix, members, "euclidean"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (int(n_threads) + 1.5) * members.nbytes  # with the total, and what is small
    np.testing.assert_array_equal(sums[0], sums[1])


@settings(max_examples=40, derandomize=True)  # now and then rounding decides a tie
@given(
    st.integers(0, 2**31), st.integers(100, 400), st.integers(1, 12), st.integers(2, 7), st.integers(10, 40),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
def test_runs_side_by_side_are_scikit_learns_one_by_one(
    seed: int, n_cells: int, n_dimensions: int, n_clusters: int, batch_size: int, n_init: int, in_groups: bool
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_cells + 10, n_dimensions)).astype(np.float32)
    if in_groups:
        matrix += 4 * rng.normal(size=(n_clusters, n_dimensions))[rng.integers(n_clusters, size=n_cells + 10)]
    seeds = rng.integers(2**31, size=4).tolist()
    some = np.sort(rng.choice(n_cells + 10, size=n_cells, replace=False))  # runs of three shapes
    runs = [Run(matrix, some, seeds[0]), Run(matrix, np.arange(90), seeds[1]), Run(matrix, some, seeds[2])]
    runs.append(Run(matrix[:, :1].astype(np.float64), some, seeds[3]))
    for run, ours in zip(runs, minibatch.cluster(runs, n_clusters, batch_size, n_init), strict=True):
        algorithm = MiniBatchKMeans(n_clusters, batch_size=batch_size, n_init=n_init, random_state=run.seed)
        cells = run.matrix[run.rows].astype(np.float64)
        theirs = algorithm.fit_predict(cells)
        distances = cdist(cells, algorithm.cluster_centers_)  # two centres on one cell are equally near
        every = np.arange(len(cells))
        np.testing.assert_allclose(distances[every, ours], distances[every, theirs], atol=1e-7)


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 6), st.integers(1, 30))
def test_agreement_is_scikit_learns(seed: int, n_cells: int, n_labels: int, n_clusters: int) -> None:
    rng = np.random.default_rng(seed)
    labels, clusters = rng.integers(n_labels, size=n_cells), rng.integers(n_clusters, size=n_cells)
    assert agreement.ari(labels, clusters) == pytest.approx(adjusted_rand_score(labels, clusters), abs=1e-12)
    assert agreement.ami(labels, clusters) == pytest.approx(adjusted_mutual_info_score(labels, clusters), abs=1e-12)
    assert (agreement.ari(labels, labels), agreement.ami(labels, labels)) == pytest.approx((1, 1))


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

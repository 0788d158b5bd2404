"""Table 2's scores against pair counting, all permutations, and plain loops over distances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from genept.metrics import clustering, neighbours, silhouette
from genept.metrics.choices import KMeansChoices

AUTHORS = KMeansChoices("minibatch", batch_size=20, n_init=3, repeats=1, pca_for_patient=50)


def ari_by_pairs(first: list, second: list) -> float:
    """Adjusted Rand index from its definition: pairs of cells that two groupings keep together."""
    pairs = list(itertools.combinations(range(len(first)), 2))
    a = np.array([first[i] == first[j] for i, j in pairs])
    b = np.array([second[i] == second[j] for i, j in pairs])
    expected = a.sum() * b.sum() / len(pairs)
    return float(((a & b).sum() - expected) / ((a.sum() + b.sum()) / 2 - expected))


def mutual_information(first: list, second: list) -> float:
    n = len(first)
    joint = {
        pair: sum(pair == other for other in zip(first, second, strict=True))
        for pair in zip(first, second, strict=True)
    }
    return sum(c / n * math.log(c * n / (first.count(x) * second.count(y))) for (x, y), c in joint.items())


def ami_by_permutations(first: list, second: list) -> float:
    """Adjusted mutual information; the expectation is the mean over every reordering of one grouping."""
    expected = np.mean([mutual_information(first, list(order)) for order in itertools.permutations(second)])
    entropies = (mutual_information(first, first) + mutual_information(second, second)) / 2
    return float((mutual_information(first, second) - expected) / (entropies - expected))


def widths_by_loops(matrix: np.ndarray, labels: list) -> float:
    values = []
    for i, own in enumerate(labels):
        to = {
            label: [math.dist(matrix[i], matrix[j]) for j in range(len(labels)) if labels[j] == label and j != i]
            for label in set(labels)
        }
        if not to[own]:
            values.append(0.0)
            continue
        within = np.mean(to.pop(own))
        other = min(map(np.mean, to.values()))
        values.append(float((other - within) / max(other, within)))
    return float(np.mean(values))


def test_hand_computed_ari() -> None:
    # 6 pairs; together in the labels: 2, in the clusters: 1, in both: 1; expected 1/3; (1 - 1/3) / (3/2 - 1/3)
    assert ari_by_pairs([0, 0, 1, 1], [0, 0, 1, 2]) == pytest.approx(4 / 7)


@pytest.mark.parametrize("algorithm", ["minibatch", "full"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agreement_is_that_of_the_clusterings_by_definition(algorithm: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(7, 2))
    labels = np.array(["a", "b", "c", "a", "b", "a", "c"])
    choices = KMeansChoices(algorithm, batch_size=20, n_init=1, repeats=3, pca_for_patient=None)
    found, _ = clustering.agreement(matrix, labels, choices, seed)
    for repeat, random_state in enumerate(clustering.seeds(seed, 3)):
        clusters = clustering.engine(3, choices, random_state).fit_predict(matrix).tolist()
        assert found["ari"][repeat] == pytest.approx(ari_by_pairs(labels.tolist(), clusters))
        assert found["ami"][repeat] == pytest.approx(ami_by_permutations(labels.tolist(), clusters))


def test_one_repeat_is_the_authors_own_call() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = rng.normal(size=(300, 8)), rng.integers(5, size=300).astype(str)
    clusters = MiniBatchKMeans(n_clusters=5, random_state=2023, batch_size=20, n_init=3).fit_predict(matrix)
    found, _ = clustering.agreement(matrix, labels, AUTHORS, 2023)
    assert found["ari"] == pytest.approx([ari_by_pairs(labels.tolist(), clusters.tolist())])


def test_separate_clouds_score_one() -> None:
    labels = np.repeat(["a", "b"], 30)
    matrix = np.where(labels == "a", 0.0, 50.0)[:, None] + np.random.default_rng(0).normal(size=(60, 3))
    found, found_all = clustering.agreement(matrix, labels, AUTHORS, 0)
    assert (found["ari"][0], found["ami"][0], found_all) == (pytest.approx(1), pytest.approx(1), True)


def test_fewer_distinct_cells_than_classes_is_said_not_warned(recwarn: pytest.WarningsRecorder) -> None:
    labels = np.array(["a", "b", "c", "a"])
    choices = KMeansChoices("full", batch_size=20, n_init=1, repeats=1, pca_for_patient=None)
    assert clustering.agreement(np.ones((4, 2)), labels, choices, 0)[1] is False
    assert not recwarn.list


def test_repeats_start_with_the_seed_and_share_none_with_the_next_seed() -> None:
    first, second = clustering.seeds(0, 10), clustering.seeds(1, 10)
    assert (first[0], second[0]) == (0, 1)
    assert len({*first, *second}) == 20
    assert clustering.seeds(0, 4) == first[:4]


@pytest.mark.parametrize("shape", [(60, 12), (20, 40)])
def test_principal_components_are_scikit_learns_up_to_mirroring(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(3).normal(size=shape) + 5
    ours = clustering.principal_components(matrix, 6)
    theirs = PCA(6, svd_solver="full").fit_transform(matrix)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-8)


def test_there_are_no_more_components_than_dimensions() -> None:
    assert clustering.principal_components(np.random.default_rng(0).normal(size=(30, 4)), 50).shape == (30, 4)


@pytest.mark.parametrize("tile", [1, 7, 512])
def test_silhouettes_equal_loops_and_scikit_learn(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silhouette, "TILE", tile)
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(40, 5)) + 1000  # far from the origin, where products lose digits
    many, two = rng.integers(6, size=40), rng.integers(2, size=40)
    many[many == 5] = 4
    many[0] = 5  # a class of one cell
    partial = np.where(np.arange(40) < 10, -1, two)
    found = silhouette.average_widths(matrix, [many, two, partial])
    assert found == pytest.approx(
        [
            widths_by_loops(matrix, many.tolist()),
            widths_by_loops(matrix, two.tolist()),
            widths_by_loops(matrix[10:], two[10:].tolist()),
        ],
        abs=1e-9,
    )
    assert found[0] == pytest.approx(silhouette_score(matrix, many), abs=1e-9)


def test_silhouettes_and_neighbours_are_the_same_to_the_bit_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    matrix, labels = rng.normal(size=(700, 30)), rng.integers(9, size=700)
    monkeypatch.setattr(silhouette, "TILE", 16)
    monkeypatch.setattr(neighbours, "BLOCK", 1000)
    found = []
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        with threadpool_limits(limits=1):
            nearest = neighbours.nearest(matrix[:500], matrix[500:], 10)
            found.append((silhouette.average_widths(matrix, [labels]), nearest.tolist()))
    assert found[0] == found[1] == found[2]


def test_identical_cells_have_silhouette_zero() -> None:
    assert silhouette.average_widths(np.ones((4, 2)), [np.array([0, 1, 0, 1])]) == [0.0]

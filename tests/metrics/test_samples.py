"""Samples of large datasets, `above` being lowered: against scikit-learn, and against the exact scores of all cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from genept.core.params import Distance, Evaluate
from genept.data import sampling
from genept.data.splits import Split
from genept.metrics import benchmark, clustering, comparisons, neighbours, ranges, regression, screening, targets
from genept.metrics.embedding import Embedding, Head
from genept.metrics.regression import Fit
from genept.metrics.results import Results, Row
from genept.metrics.targets import DONORS, RANDOM
from tests.metrics import blood

N_CELLS = 1200
DISTANCES: list[Distance] = ["cosine", "centred_cosine", "euclidean"]


def protocol(seed: int | None = None, **sample: int) -> Evaluate:
    """Return the settings with three repeats; without `sample` every cell is scored."""
    config = blood.EVALUATE.sample.model_copy(update={"above": 100, **sample} if sample else {})
    return blood.EVALUATE.model_copy(update={"repeats": 3, "seed": seed, "asw": "euclidean", "sample": config})


ALL = dict.fromkeys(("anchors", "test_cells", "training_cells"), N_CELLS)


@pytest.fixture(scope="module")
def cells() -> tuple[pd.DataFrame, np.ndarray]:
    """Cell types and donors that an embedding shows in part, and a phenotype of the donor."""
    rng = np.random.default_rng(0)
    types, donors = rng.choice(4, p=[0.5, 0.3, 0.15, 0.05], size=N_CELLS), rng.integers(12, size=N_CELLS)
    means = rng.normal(size=(4, 6))[types] + 0.5 * rng.normal(size=(12, 6))[donors] + 0.4 * (donors % 2)[:, None]
    obs = {"cell_type": types.astype(str), "patient": donors.astype(str), "phenotype": (donors % 2).astype(str)}
    return pd.DataFrame(obs), (means + rng.normal(size=means.shape))[None].astype(np.float32)


def scored(cells: tuple[pd.DataFrame, np.ndarray], evaluate: Evaluate, seed: int = 0) -> Results:
    planned = targets.plan(cells[0], evaluate, seed, "obs.csv")[0]
    return benchmark.score(planned, Embedding(cells[1]), evaluate, seed)


def by_key(result: Results) -> dict[tuple[str, ...], Row]:
    return {(row.task, row.annotation, row.split, row.metric, row.label): row for row in result.rows}


def test_samples_lie_within_each_other_and_depend_on_the_seed() -> None:
    order = sampling.order(1000, 999, 5)
    assert order is not None and sampling.order(1000, 1000, 5) is None
    large, small = order.first(np.arange(1000), 300), order.first(np.arange(1000), 100)
    even = order.first(np.arange(0, 1000, 2), 100)
    assert set(small) < set(large) and set(even) >= {cell for cell in small if cell % 2 == 0}
    again, other = sampling.order(1000, 999, 5), sampling.order(1000, 999, 6)
    assert again is not None and other is not None
    assert np.array_equal(again.first(np.arange(1000), 300), large)
    assert not np.array_equal(other.first(np.arange(1000), 300), large)


@pytest.mark.parametrize("metric", DISTANCES)
@pytest.mark.parametrize("offset", [0, 60])  # of near-parallel vectors float32 loses digits
def test_screened_neighbours_are_the_exact_ones_with_their_ties(
    metric: Distance, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "QUERIES", 50)
    rng = np.random.default_rng(1)
    single = rng.normal(size=(3000, 20)).astype(np.float32) + offset
    matrix = np.concatenate([single, single, single[:500]])[rng.permutation(6500)]  # ties everywhere
    matrix[7] = 0
    queries = np.sort(rng.choice(6500, 120, replace=False))
    for among in (np.arange(6500), np.sort(rng.choice(6500, 5000, replace=False)), np.arange(8)):
        found = screening.search(screening.Cells(matrix, metric), queries, among, 10)
        exact = neighbours.search(matrix.astype(np.float64), queries, among, 10, metric)
        np.testing.assert_array_equal(found, exact)
    if metric != "centred_cosine":
        own = screening.search(screening.Cells(single, metric), np.arange(100), np.arange(100, 3000), 10)
        theirs = NearestNeighbors(n_neighbors=10, algorithm="brute", metric=metric).fit(single[100:].astype(np.float64))
        np.testing.assert_array_equal(own, 100 + theirs.kneighbors(single[:100].astype(np.float64))[1])


@pytest.mark.parametrize("distance", DISTANCES)
def test_widths_are_scikit_learns_for_all_cells_and_for_anchors(
    distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "BLOCK", 64)
    monkeypatch.setattr(clustering, "TILE", 16)
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(300, 5)).astype(np.float32)
    many, partial = rng.integers(5, size=300), np.where(np.arange(300) < 40, -1, rng.integers(2, size=300))
    many[0], matrix[1] = 5, 0  # a class of one cell, a cell without coordinates
    anchors = [np.arange(0, 300, 3), np.arange(40, 300)]
    found = clustering.widths_of_many(matrix, np.array([many, partial]), anchors, distance)
    points = matrix.astype(np.float64) - (matrix.mean(axis=0, dtype=np.float64) if distance != "cosine" else 0)
    distances = (
        cdist(points, points)
        if distance == "euclidean"
        else 1 - clustering.normalize(points) @ (clustering.normalize(points).T)
    )
    np.fill_diagonal(distances, 0)
    for codes, own, values in zip((many, partial), anchors, found, strict=True):
        rows = np.flatnonzero(codes >= 0)
        widths = np.zeros(300)
        widths[rows] = silhouette_samples(distances[np.ix_(rows, rows)], codes[rows], metric="precomputed")
        np.testing.assert_allclose(values, widths[own if distance == "euclidean" else rows], atol=1e-6)


def test_a_sample_of_all_cells_gives_the_exact_scores(cells: tuple[pd.DataFrame, np.ndarray]) -> None:
    exact, sampled = (by_key(scored(cells, one)) for one in (protocol(), protocol(**ALL)))
    assert exact.keys() == sampled.keys()
    for key, row in exact.items():
        if "patient" not in key or "kmeans" not in key:  # there float32 components take the place of float64
            other = sampled[key]
            assert (other.value, other.low, other.high) == pytest.approx((row.value, row.low, row.high), abs=1e-6)
        assert (sampled[key].n_all, sampled[key].se, sampled[key].n_cells) == (None, None, row.n_cells)


def test_errors_of_samples_are_as_large_as_they_say(cells: tuple[pd.DataFrame, np.ndarray]) -> None:
    exact = by_key(scored(cells, protocol()))
    keys = [
        ("knn", "cell_type", "random", "accuracy", ""),
        ("knn", "cell_type", "donors", "accuracy", ""),
        ("knn", "phenotype", "donors", "f1_macro", ""),
        ("logreg", "phenotype", "random", "auroc", ""),
        ("silhouette", "cell_type", "", "asw", ""),
        ("silhouette", "cell_type", "random", "asw", ""),
        ("knn", "cell_type", "random", "recall", "0"),
    ]
    few = protocol(test_cells=300, anchors=200, training_cells=N_CELLS)
    planned = targets.plan(cells[0], few, 0, "obs.csv")[0]
    away = []
    for number in range(12):  # other samples for the same splits
        order = sampling.Order(np.random.default_rng(number).permutation(N_CELLS))
        whole = targets.plan(cells[0], protocol(), 0, "obs.csv")[0]
        drawn = targets.draw(whole, order, few.sample)
        rows = by_key(benchmark.score(drawn, Embedding(cells[1]), few, 0))
        away.append([(rows[key].value - exact[key].value) / (rows[key].se or 0) for key in keys])
    assert (np.abs(np.mean(away, axis=0)) < 1.2).all() and (np.sqrt(np.mean(np.square(away), axis=0)) < 1.8).all()
    assert np.sqrt(np.mean(np.square(away))) == pytest.approx(1, abs=0.35)
    rows = by_key(scored(cells, few))
    assert [(rows[key].n_cells, rows[key].n_all) for key in keys[1:5:3]] == [(300, 1200), (200, 1200)]
    random = rows[keys[0]]
    assert random.n_cells == len(planned[0].splits[RANDOM][0].test) < 100 and random.n_all == 240
    assert random.se == pytest.approx(np.sqrt(random.value * (1 - random.value) / 180 * 0.75), rel=0.5)
    half = ranges.t_quantile(19) * (rows[keys[4]].se or 0)
    assert rows[keys[4]].high == pytest.approx(rows[keys[4]].value + half)
    of_class = rows[keys[6]]
    assert (of_class.n_cells, of_class.n_all) == (random.n_cells, 240)
    assert of_class.low is not None and of_class.value - of_class.low > ranges.t_quantile(19) * (of_class.se or 0)
    few_trained = scored(cells, protocol(test_cells=300, anchors=200, training_cells=400))
    clusters = by_key(few_trained)["kmeans", "cell_type", "", "ari", ""]
    assert (clusters.n_cells, clusters.n_all) == (400, 1200) and 0 < (clusters.se or 0) < 0.1
    columns = [*scored(cells, protocol()).table("blood", "one")], [*few_trained.table("blood", "one")]
    assert columns[1] == [*columns[0], "n_all", "se"]


def test_ensemble_comparisons_and_heads_share_the_sample_whatever_the_threads(
    cells: tuple[pd.DataFrame, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regression, "WHOLE", 100)
    monkeypatch.setattr(regression, "PART", 128)
    obs, draws = cells
    few = protocol(test_cells=300, anchors=200, training_cells=500)
    planned = targets.plan(obs, few, 0, "obs.csv")[0]
    control = np.concatenate([draws, draws[:, ::-1], draws + 1, draws - 1])  # more draws than are scored whole
    fitted: list[int] = []

    def fit(jobs: Any) -> list[Any]:
        fitted.extend(len(rows) for _, rows in jobs)
        return [lambda matrix: matrix[:, :4] for _ in jobs]

    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        with threadpool_limits(1):
            results = {
                "one": benchmark.score(planned, Embedding(draws), few, 0),
                "control": benchmark.score(planned, Embedding(control), few, 0),
                "head": benchmark.score(planned, Head(Embedding(draws), planned, fit), few, 0),
            }
            results["ensemble"] = benchmark.score_ensemble(planned, [results["one"], results["control"]], few, 0)
            found.append([results[name].rows for name in results])
    assert found[0] == found[1] and max(fitted) == 500
    pairs = comparisons.compare(results, planned, few, 0)
    assert set(pairs["model"]) | set(pairs["other"]) == set(results)
    sizes = {
        (row.split, row.n_cells, row.n_all)
        for result in results.values()
        for row in result.rows
        if row.task == "knn" and row.annotation == "cell_type" and row.split in (RANDOM, DONORS)
    }
    assert sizes == {(RANDOM, len(planned[0].splits[RANDOM][0].test), 240), (DONORS, 300, 1200)}


def test_a_regression_by_blocks_is_that_of_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(3, size=500)
    matrix = (rng.normal(size=(3, 4))[codes] + rng.normal(size=(500, 4))).astype(np.float32)
    fits = [Fit(Split(np.arange(100 * n, 500), np.arange(100 * n)), n > 1) for n in (1, 2, 3)]
    whole = regression.regress(matrix, codes, 3, fits, blood.EVALUATE.logreg)
    monkeypatch.setattr(regression, "WHOLE", 100)
    monkeypatch.setattr(regression, "PART", 64)
    for one, other in zip(whole, regression.regress(matrix, codes, 3, fits, blood.EVALUATE.logreg), strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_annotations_with_gaps_share_one_search(
    cells: tuple[pd.DataFrame, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = cells[0].copy()
    gaps.loc[gaps.index % 5 == 0, "phenotype"] = "Unknown"
    gaps.loc[gaps.index % 7 == 0, "patient"] = "Unknown"
    few = protocol(test_cells=300)
    alone = by_key(scored((gaps[["cell_type"]], cells[1]), few))
    searched, rank_drawn = [], neighbours.rank_drawn

    def counted(found: screening.Cells, drawn: np.ndarray, k: int) -> np.ndarray:
        searched.append(len(drawn))
        return rank_drawn(found, drawn, k)

    monkeypatch.setattr(neighbours, "rank_drawn", counted)
    together = by_key(scored((gaps[["cell_type", "phenotype"]], cells[1]), few))
    assert len(searched) == 1 and 300 < searched[0] < 400
    assert all(together[key] == row for key, row in alone.items() if key[0] == "knn")
    scored((gaps, cells[1]), few)
    assert len(searched) == 2

"""The whole method on made-up cells of known types: they are found, the same however the cells come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_info, threadpool_limits

from genept.annotation import method, results
from genept.annotation.cells import ManyCells
from genept.annotation.markers import Markers
from genept.core.errors import InputError
from genept.datasets import matrix
from tests.annotation import made

MARKERS = Markers(made.markers(), {}, ("NOTAGENE1", "NOTAGENE2"))


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    return made.cells()


@pytest.fixture(scope="module")
def found(cells: anndata.AnnData) -> method.Result:
    return annotate(cells)


def annotate(cells: anndata.AnnData, **changes: Any) -> method.Result:
    return method.annotate(cells, donors(cells), MARKERS, made.settings(**changes))


def donors(cells: anndata.AnnData) -> np.ndarray:
    return cells.obs["donor"].to_numpy(str)


def with_counts(cells: anndata.AnnData, counts: np.ndarray) -> anndata.AnnData:
    cells = cells.copy()
    cells.X = sp.csr_matrix(counts)
    return cells


def test_types_are_found_and_counted_and_one_without_markers_is_unknown(
    cells: anndata.AnnData, found: method.Result
) -> None:
    expected = np.where(cells.obs["kind"] == "Red", "Unknown", cells.obs["kind"])
    assert (found.cell_types == expected).mean() > 0.98
    summary = results.summary(found, donors(cells), MARKERS)
    assert summary["markers"]["n_genes_per_type"] == {"Blue": 4, "Green": 4, "Absent": 0}
    assert summary["markers"]["not_in_the_data"] == ["NOTAGENE1", "NOTAGENE2"]
    assert summary["markers"]["types_without_gene"] == ["Absent"]
    assert summary["n_batches"] == 2 and summary["n_neighbors"] == 10 and summary["n_hvgs"] == 60
    assert list(summary["cells_per_type"]) == ["Blue", "Green", "Unknown"]
    assert sum(summary["cells_per_type"].values()) == made.N_CELLS
    assert summary["cells"] == {"ok": made.N_CELLS, "few_genes": 0, "many_genes": 0, "many_mitochondrial": 0}


def test_cells_that_are_read_some_at_a_time_are_annotated_as_those_in_memory(
    cells: anndata.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    qc = {"max_genes": int(np.median(np.diff(cells.X.indptr))), "min_cells_per_gene": 78}
    small, n_read = annotate(cells, n_hvgs=30, qc=qc), 0

    def blocks(rows: np.ndarray | None) -> Iterator[sp.csr_matrix]:
        nonlocal n_read
        n_read += 1
        yield from matrix.in_blocks(lambda first, last: cells.X[first:last].copy(), cells.n_obs, rows, 17)

    x = matrix.Matrix(blocks, cells.shape, cells.X.dtype)
    many = ManyCells(x, cells.obs_names, cells.var_names, {"x": "counts"})
    large = method.annotate(many, donors(cells), MARKERS, made.settings(n_hvgs=30, qc=qc))
    assert set(small.qc) == {"ok", "many_genes"} and small.rare and n_read == 3
    for one, other in zip(dataclasses.astuple(small), dataclasses.astuple(large), strict=True):
        np.testing.assert_array_equal(one, other) if isinstance(one, np.ndarray) else None
        assert isinstance(one, np.ndarray) or one == other
    monkeypatch.setattr(method, "SAMPLE", 90)
    sampled = method.annotate(many, donors(cells), MARKERS, made.settings())
    assert (sampled.cell_types == np.where(cells.obs["kind"] == "Red", "Unknown", cells.obs["kind"])).mean() > 0.98


def test_of_many_cells_some_make_the_clusters_and_the_others_join_their_neighbours(
    cells: anndata.AnnData, found: method.Result
) -> None:
    few = made.settings(most_cells=100)
    some = method.annotate(cells, donors(cells), MARKERS, few)
    drawn = np.isfinite(some.layout[:, 0])
    assert some.n_drawn == drawn.sum() == 100 and found.n_drawn == made.N_CELLS
    assert (some.cell_types == found.cell_types).mean() > 0.98 and len(some.calls) == len(found.calls)
    assert list(np.bincount(some.cluster)[1:]) == sorted(np.bincount(some.cluster)[1:], reverse=True)
    order = np.random.default_rng(0).permutation(cells.n_obs)
    shuffled = method.annotate(cells[order].copy(), donors(cells)[order], MARKERS, few)
    np.testing.assert_array_equal(shuffled.cluster, some.cluster[order])
    n_read = 0

    def blocks(rows: np.ndarray | None) -> Iterator[sp.csr_matrix]:
        nonlocal n_read
        n_read += 1
        yield from matrix.in_blocks(lambda first, last: cells.X[first:last].copy(), cells.n_obs, rows, 17)

    x = matrix.Matrix(blocks, cells.shape, cells.X.dtype)
    in_blocks = method.annotate(
        ManyCells(x, cells.obs_names, cells.var_names, {"x": "counts"}), donors(cells), MARKERS, few
    )
    np.testing.assert_array_equal(in_blocks.cluster, some.cluster)
    np.testing.assert_array_equal(in_blocks.layout, some.layout)
    assert n_read == 4


def test_a_cell_joins_the_cluster_of_most_of_its_nearest_drawn_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points, drawn = rng.normal(size=(120, 3)), np.sort(rng.choice(120, 50, replace=False))
    codes = rng.integers(4, size=50)
    others = np.setdiff1d(np.arange(120), drawn)
    expected = []
    for distances in cdist(points[others], points[drawn]):
        nearest = codes[np.argsort(distances)[:7]].tolist()
        expected.append(max(nearest, key=lambda code: (nearest.count(code), -nearest.index(code))))
    for n_at_once in (1000, 11):
        monkeypatch.setattr(method.graph, "CELLS_AT_ONCE", n_at_once)
        found = method.graph.extend(points, drawn, codes, 7)
        assert found[others].tolist() == expected
        np.testing.assert_array_equal(found[drawn], codes)


def test_a_layout_of_many_separate_groups_begins_at_the_first_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """UMAP's spectral start takes each group for itself, and for thousands of them does not end."""
    points = np.repeat(np.random.default_rng(0).normal(size=(60, 5)) * 100, 4, axis=0)
    indices, distances = method.graph.balanced_neighbors(points, np.full(240, ""), 4)
    starts, umap = list[np.ndarray](), method.graph.scanpy.tl.umap

    def noted(cells: anndata.AnnData, **options: Any) -> None:
        starts.append(options["init_pos"])
        umap(cells, **options)

    monkeypatch.setattr(method.graph.scanpy.tl, "umap", noted)
    graph = method.graph.connect(indices, distances)
    layout = method.graph.lay_out(points, graph, 4, 10, 0)
    np.testing.assert_array_equal(starts[0], points[:, :2].astype(np.float32))
    assert layout.shape == (240, 2) and np.isfinite(layout).all()


def test_batches_split_clusters_without_balance_only_and_every_library_runs_in_one_thread(
    cells: anndata.AnnData, found: method.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_threads: list[int] = []

    def cluster(*arguments: Any) -> np.ndarray:
        n_threads.extend(pool["num_threads"] for pool in threadpool_info())
        return original(*arguments)

    def of_one_batch(cluster: np.ndarray) -> list[bool]:
        return [len(set(donors(cells)[cluster == name])) == 1 for name in np.unique(cluster)]

    original = method.graph.cluster
    monkeypatch.setattr(method.graph, "cluster", cluster)
    with threadpool_limits(2):
        unbalanced = method.annotate(cells, None, MARKERS, made.settings())
    assert len(n_threads) >= 2 and set(n_threads) == {1}  # so equal input gives equal output on any number of cores
    assert len(found.calls) == 3 and not any(of_one_batch(found.cluster))
    assert len(unbalanced.calls) == 6 and all(of_one_batch(unbalanced.cluster))


def test_neither_order_nor_cells_that_fail_quality_control_change_the_result(
    cells: anndata.AnnData, found: method.Result
) -> None:
    poor = made.cells(seed=3)[:20].copy()
    poor = with_counts(poor, poor.X.toarray() * (np.arange(poor.n_vars) < 4))
    poor.obs_names = [f"a poor one {i}" for i in range(20)]
    both = anndata.concat([poor, cells], uns_merge="same")
    rng = np.random.default_rng(5)
    rows, columns = rng.permutation(both.n_obs), rng.permutation(both.n_vars)
    again = annotate(both[rows, columns].copy())
    assert list(again.qc) == list(np.array(["few_genes"] * 20 + ["ok"] * made.N_CELLS)[rows])
    np.testing.assert_array_equal(again.cluster, np.append(np.zeros(20), found.cluster)[rows])
    np.testing.assert_array_equal(again.layout, np.vstack([np.full((20, 2), np.nan), found.layout])[rows])
    assert again.calls == found.calls


def test_a_marker_in_too_few_cells_is_left_out_and_another_seed_gives_another_layout(
    cells: anndata.AnnData, found: method.Result
) -> None:
    counts, gene = cells.X.toarray(), made.own("Blue")[0]
    counts[2:, list(cells.var_names).index(gene)] = 0
    again = annotate(with_counts(cells, counts), seed=1)
    assert again.rare == [gene] and gene not in again.genes and gene not in again.absent
    assert not np.array_equal(again.layout, found.layout)
    with pytest.raises(InputError, match=r"none of the 10 marker genes .* is in 241 cells; is markers.tsv the table"):
        annotate(cells, qc={"min_cells_per_gene": 241})


@pytest.mark.parametrize("n_equal", [60, 64, 77])
def test_a_batch_of_equal_cells_has_no_say_in_the_choice_of_genes(n_equal: int) -> None:
    x = np.log1p(np.random.default_rng(0).poisson(2, size=(80, 100)).astype(np.float32))
    both = sp.csr_matrix(np.vstack([x, np.repeat(x[:1], n_equal, axis=0)]))
    batches = np.array(["one"] * 40 + ["other"] * 40 + ["equal"] * n_equal)
    chosen = method.highly_variable(both, batches, 20)
    assert np.array_equal(chosen, method.highly_variable(sp.csr_matrix(x), batches[:80], 20))


@pytest.mark.parametrize(("n_doubled", "text"), [(0, "0 genes vary among the 240 cells"), (1, "1 genes vary")])
def test_cells_that_hardly_differ_have_no_clusters(cells: anndata.AnnData, n_doubled: int, text: str) -> None:
    counts = np.ones(cells.shape, dtype=np.float32)
    counts[:n_doubled, 0] = 2
    with pytest.raises(InputError, match=text):
        annotate(with_counts(cells, counts), n_hvgs=30)


def test_genes_are_chosen_by_the_batches_that_have_enough_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = np.log1p(rng.negative_binomial(1, rng.uniform(0.2, 0.8, size=200), size=(100, 200)).astype(np.float32))
    batches = np.array(["one"] * 45 + ["other"] * 45 + ["small"] * 10)
    changed = x.copy()
    changed[90:, :20] = rng.choice([0.0, 6.0], size=(10, 20))  # varies within the small batch only

    def chosen(matrix: np.ndarray, n_genes: int = 20) -> list[int]:
        return list(method.highly_variable(sp.csr_matrix(matrix), batches, n_genes))

    assert len(chosen(x)) == 20 and chosen(changed) == chosen(x)
    assert chosen(x, 500) == list(range(200))
    monkeypatch.setattr(method, "MIN_BATCH", 2)
    assert chosen(changed) != chosen(x)

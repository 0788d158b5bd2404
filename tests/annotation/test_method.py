"""The whole method on made-up cells of known types: they are found, the same however the cells come."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

from genept.annotation import method, results
from genept.annotation.markers import Markers
from genept.core.errors import InputError
from tests.annotation import made

pytestmark = pytest.mark.xdist_group("umap")

MARKERS = Markers(made.markers(), {}, ("NOTAGENE1", "NOTAGENE2"))


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    return made.cells()


@pytest.fixture(scope="module")
def found(cells: anndata.AnnData) -> method.Result:
    return method.annotate(cells, donors(cells), MARKERS, made.settings())


def donors(cells: anndata.AnnData) -> np.ndarray:
    return cells.obs["donor"].to_numpy(str)


def with_counts(cells: anndata.AnnData, counts: np.ndarray) -> anndata.AnnData:
    cells = cells.copy()
    cells.X = sp.csr_matrix(counts)
    return cells


def test_types_are_found_and_one_without_markers_is_unknown(cells: anndata.AnnData, found: method.Result) -> None:
    expected = np.where(cells.obs["kind"] == "Red", "Unknown", cells.obs["kind"])
    assert (found.cell_types == expected).mean() > 0.98
    assert (found.qc == "ok").all()


def test_batches_do_not_split_clusters_as_they_do_without_balance(cells: anndata.AnnData, found: method.Result) -> None:
    unbalanced = method.annotate(cells, None, MARKERS, made.settings())

    def of_one_batch(cluster: np.ndarray) -> list[bool]:
        return [len(set(donors(cells)[cluster == name])) == 1 for name in np.unique(cluster)]

    assert len(found.calls) == 3 and not any(of_one_batch(found.cluster))
    assert len(unbalanced.calls) == 6 and all(of_one_batch(unbalanced.cluster))


def test_the_summary_counts(cells: anndata.AnnData, found: method.Result) -> None:
    summary = results.summary(found, donors(cells), MARKERS)
    assert summary["markers"]["n_genes_per_type"] == {"Blue": 4, "Green": 4, "Absent": 0}
    assert summary["markers"]["not_in_the_data"] == ["NOTAGENE1", "NOTAGENE2"]
    assert summary["markers"]["types_without_gene"] == ["Absent"]
    assert summary["n_batches"] == 2 and summary["n_neighbors"] == 10 and summary["n_hvgs"] == 60
    assert list(summary["cells_per_type"]) == ["Blue", "Green", "Unknown"]
    assert sum(summary["cells_per_type"].values()) == made.N_CELLS
    assert summary["cells"] == {"ok": made.N_CELLS, "few_genes": 0, "many_genes": 0, "many_mitochondrial": 0}


def test_the_order_of_cells_and_genes_does_not_matter(cells: anndata.AnnData, found: method.Result) -> None:
    rng = np.random.default_rng(5)
    rows, columns = rng.permutation(cells.n_obs), rng.permutation(cells.n_vars)
    shuffled = cells[rows, columns].copy()
    again = method.annotate(shuffled, donors(shuffled), MARKERS, made.settings())
    np.testing.assert_array_equal(again.cluster, found.cluster[rows])
    np.testing.assert_array_equal(again.layout, found.layout[rows])
    assert again.calls == found.calls


def test_another_seed_gives_another_layout(cells: anndata.AnnData, found: method.Result) -> None:
    other = method.annotate(cells, donors(cells), MARKERS, made.settings(seed=1))
    assert not np.array_equal(other.layout, found.layout)


def test_cells_that_fail_quality_control_take_no_part(cells: anndata.AnnData, found: method.Result) -> None:
    poor = made.cells(seed=3)[:20].copy()
    poor = with_counts(poor, poor.X.toarray() * (np.arange(poor.n_vars) < 4))
    poor.obs_names = [f"a poor one {i}" for i in range(20)]
    both = anndata.concat([poor, cells], uns_merge="same")
    again = method.annotate(both, donors(both), MARKERS, made.settings())
    assert list(again.qc) == ["few_genes"] * 20 + ["ok"] * made.N_CELLS
    assert not again.cluster[:20].any() and np.isnan(again.layout[:20]).all()
    np.testing.assert_array_equal(again.cluster[20:], found.cluster)
    assert again.calls == found.calls


def test_a_marker_in_too_few_cells_is_left_out_and_listed(cells: anndata.AnnData) -> None:
    counts, gene = cells.X.toarray(), made.own("Blue")[0]
    counts[2:, list(cells.var_names).index(gene)] = 0
    again = method.annotate(with_counts(cells, counts), None, MARKERS, made.settings())
    assert again.rare == [gene] and gene not in again.genes and gene not in again.absent


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


def test_data_without_a_marker_gene_is_refused(cells: anndata.AnnData) -> None:
    with pytest.raises(InputError, match=r"none of the 10 marker genes .* is in 241 cells; is markers.tsv the table"):
        method.annotate(cells, None, MARKERS, made.settings(qc={"min_cells_per_gene": 241}))


def test_every_library_runs_in_one_thread(cells: anndata.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    """So equal input gives equal output on any number of cores."""
    seen: list[int] = []

    def cluster(*arguments: Any) -> np.ndarray:
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return original(*arguments)

    original = method.graph.cluster
    monkeypatch.setattr(method.graph, "cluster", cluster)
    with threadpool_limits(2):
        method.annotate(cells, None, MARKERS, made.settings())
    assert len(seen) >= 2 and set(seen) == {1}

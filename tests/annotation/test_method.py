"""The whole method on made-up cells of known types: they are found, the same however the cells come."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from genept.annotation import method, options
from genept.annotation.marker_table import Markers
from genept.core.errors import InputError
from genept.datasets.counts import to_csr
from tests import helpers
from tests.annotation import made

pytestmark = pytest.mark.xdist_group("umap")

MARKERS = Markers(made.markers(), {}, ("NOTAGENE1", "NOTAGENE2"))


def choices(**change: Any) -> options.Options:
    qc = options.QC(**{**made.SHARED["qc"], **change.pop("qc", {})})
    return options.Options(**{"markers": "made", "batch": "patient", "names": {}, **made.SHARED, "qc": qc, **change})


def prepared(cells: anndata.AnnData, x: str = "counts") -> anndata.AnnData:
    cells.X = to_csr(cells.X)
    cells.uns["x"] = x
    return cells


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    return prepared(made.cells())


@pytest.fixture(scope="module")
def found(cells: anndata.AnnData) -> method.Analysis:
    return method.analyse(cells, cells.obs["donor"].to_numpy(str), MARKERS, choices())


def same(one: method.Analysis, other: method.Analysis) -> None:
    for name in ("qc", "cluster", "layout", "z", "shares"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.calls == other.calls


def test_types_are_found_and_one_without_signature_is_unknown(cells: anndata.AnnData, found: method.Analysis) -> None:
    expected = np.where(cells.obs["kind"] == "Red", "Unknown", cells.obs["kind"])
    assert (found.cell_types == expected).mean() > 0.98
    assert (found.qc == "ok").all()


def test_batches_do_not_split_clusters_as_they_do_without_balance(
    cells: anndata.AnnData, found: method.Analysis
) -> None:
    unbalanced = method.analyse(cells, None, MARKERS, choices())
    donors = cells.obs["donor"].to_numpy(str)

    def of_one_batch(cluster: np.ndarray) -> list[bool]:
        return [len(set(donors[cluster == name])) == 1 for name in np.unique(cluster)]

    assert len(found.calls) == 3 and not any(of_one_batch(found.cluster))
    assert len(unbalanced.calls) == 6 and all(of_one_batch(unbalanced.cluster))


def test_the_summary_counts_what_was_found(cells: anndata.AnnData, found: method.Analysis) -> None:
    summary = method.summary(found, cells.obs["donor"].to_numpy(str), MARKERS)
    assert summary["markers"]["n_genes_per_type"] == {"Blue": 4, "Green": 4, "Absent": 0}
    assert summary["markers"]["not_in_the_data"] == ["NOTAGENE1", "NOTAGENE2"]
    assert summary["markers"]["types_without_gene"] == ["Absent"]
    assert summary["n_batches"] == 2 and summary["n_neighbors"] == 10 and summary["n_hvgs"] == 60
    assert list(summary["cells_per_type"]) == ["Blue", "Green", "Unknown"]
    assert sum(summary["cells_per_type"].values()) == made.N_CELLS
    assert summary["cells"] == {"ok": made.N_CELLS, "few_genes": 0, "many_genes": 0, "many_mitochondrial": 0}


def test_the_order_of_cells_and_genes_does_not_matter(cells: anndata.AnnData, found: method.Analysis) -> None:
    rng = np.random.default_rng(5)
    rows, columns = rng.permutation(cells.n_obs), rng.permutation(cells.n_vars)
    shuffled = prepared(cells[rows, columns].copy())
    again = method.analyse(shuffled, shuffled.obs["donor"].to_numpy(str), MARKERS, choices())
    np.testing.assert_array_equal(again.cluster, found.cluster[rows])
    np.testing.assert_array_equal(again.layout, found.layout[rows])
    assert again.calls == found.calls


def test_one_seed_gives_one_result_and_another_another_layout(cells: anndata.AnnData, found: method.Analysis) -> None:
    donors = cells.obs["donor"].to_numpy(str)
    same(method.analyse(cells, donors, MARKERS, choices()), found)
    other = method.analyse(cells, donors, MARKERS, choices(seed=1))
    assert not np.array_equal(other.layout, found.layout)


def test_dropped_cells_take_no_part(cells: anndata.AnnData, found: method.Analysis) -> None:
    """Cells that are dropped leave those kept as if they had not been there."""
    poor = prepared(made.cells(seed=3)[:20].copy())
    poor.X = to_csr(poor.X.toarray() * (np.arange(poor.n_vars) < 4))
    poor.obs_names = [f"a poor one {i}" for i in range(20)]
    both = prepared(anndata.concat([poor, cells]))
    again = method.analyse(both, both.obs["donor"].to_numpy(str), MARKERS, choices())
    assert list(again.qc) == ["few_genes"] * 20 + ["ok"] * made.N_CELLS
    assert not again.cluster[:20].any() and np.isnan(again.layout[:20]).all()
    np.testing.assert_array_equal(again.cluster[20:], found.cluster)
    assert again.calls == found.calls


def test_a_marker_in_too_few_cells_is_left_out_and_listed(cells: anndata.AnnData) -> None:
    rare = cells.copy()
    dense = rare.X.toarray()
    gene = made.own("Blue")[0]
    dense[2:, list(rare.var_names).index(gene)] = 0
    rare.X = to_csr(dense)
    again = method.analyse(rare, None, MARKERS, choices())
    assert again.rare == [gene] and gene not in again.genes and gene not in again.lacking


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
    monkeypatch.setattr(method, "LEAST_VOTERS", 2)
    assert chosen(changed) != chosen(x)


def test_clusters_are_numbered_by_size_then_by_their_first_cell() -> None:
    assert list(method.by_size(np.array([5, 1, 1, 7, 5, 3, 3, 3]))) == [1, 2, 2, 3, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"qc": {"min_genes": 89}}, "cells pass quality control, and 30 are needed"),
        ({"qc": {"min_cells_per_gene": 241}}, "none of the 10 genes of genept/annotation/markers/made.tsv"),
    ],
)
def test_data_that_cannot_be_analysed_is_said(cells: anndata.AnnData, change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        method.analyse(cells, None, MARKERS, choices(**change))


THREADS = """
from tests.annotation import test_method as this

cells = this.prepared(this.made.cells())
found = this.method.analyse(cells, cells.obs["donor"].to_numpy(str), this.MARKERS, this.choices())
print(this.as_text(found))
"""


def as_text(found: method.Analysis) -> str:
    return f"{found.cluster.tolist()} {found.layout.tobytes().hex()} {found.z.tobytes().hex()}"


def test_the_number_of_threads_does_not_matter(found: method.Analysis) -> None:
    """One thread in a process of its own, against as many as this one has."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, cwd=helpers.ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == as_text(found) + "\n"

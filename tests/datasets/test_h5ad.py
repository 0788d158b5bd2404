"""h5ad files: any storage of the matrix, layers, memory, and datasets in two files, joined by gene."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.core import files
from genept.data import cells as shared
from genept.data import expression, genes, hgnc
from genept.datasets import h5ad, label, raw
from genept.datasets import stored as stored_files
from genept.datasets.h5ad import match_columns
from genept.datasets.matrix import Matrix, in_blocks, in_memory
from tests import helpers
from tests.datasets.made import (
    CELLS,
    CORPUS,
    FOLDER,
    N_CELLS,
    RAW,
    RECORD,
    assert_refused,
    change,
    configure,
    local,
    make_cells,
    parse,
    run,
    set_x,
    split_files,
)

ROWS = 7  # at once
N_LARGE, N_GENES = 1500, 1500  # of a matrix whose copies are counted


@pytest.mark.parametrize("form", [np.asarray, sp.csc_matrix, sp.csr_matrix, lambda x: x.astype(np.int32)])
def test_any_storage_of_counts_gives_the_same_cells(project: Path, form: Callable[[Any], Any]) -> None:
    change(set_x(form))
    np.testing.assert_array_equal(run()[0].X.toarray(), make_cells().X.toarray())


@pytest.mark.parametrize("stored", [{}, {"chunks": (3, 2)}, {"chunks": (50, 4), "compression": "gzip"}])
@pytest.mark.parametrize("dtype", ["float64", "uint16", "bool"])
def test_every_block_of_a_dense_matrix_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: dict[str, Any], dtype: str
) -> None:
    data = make_cells()
    dense = data.X.toarray().astype(dtype)
    data.X = dense
    data.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=dense, **stored).attrs.update(attributes)
    monkeypatch.setattr(stored_files, "BYTES_AT_ONCE", ROWS * dense[0].nbytes)
    matrix, obs, var, layers = h5ad.read_elements(tmp_path / "a.h5ad")
    assert matrix.dtype == dense.dtype and matrix.survey.n_values == np.count_nonzero(dense)
    assert (matrix.csr().toarray() == dense).all()
    assert list(obs.index) == list(data.obs_names) and list(var.index) == list(data.var_names)
    assert layers == ["logged"]


@pytest.mark.parametrize("is_dense", [False, True])
@pytest.mark.parametrize("subset", [{}, {"subset": {"n_cells": N_LARGE // 2}}])
def test_the_matrix_is_in_memory_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: dict[str, Any], is_dense: bool
) -> None:
    monkeypatch.setattr(stored_files, "BYTES_AT_ONCE", 2**17)
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 100)
    counts = np.random.default_rng(0).poisson(0.1, size=(N_LARGE, N_GENES)).astype(np.float32)
    matrix = sp.csr_matrix(counts)
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    hgnc_genes = hgnc.read(helpers.HGNC)
    names = [*(gene.symbol for gene in hgnc_genes), *(f"unknown{i}" for i in range(N_GENES))][:N_GENES]
    obs = pd.DataFrame({"type": np.array(["B", "T"])[np.arange(N_LARGE) % 2]}, index=[f"c{i}" for i in range(N_LARGE)])
    data = anndata.AnnData(counts if is_dense else matrix, obs=obs, var=pd.DataFrame(index=names))
    data.write_h5ad(tmp_path / "raw.h5ad")
    del data, matrix, counts
    config, table = parse(obs={"cell_type": "type"}, **subset), genes.Table(hgnc_genes)
    label.label(tmp_path, config, table, "x", with_corpus=True)  # imports are no part of the measurement
    tracemalloc.start()
    labelled = label.label(tmp_path, config, table, "x", with_corpus=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labelled.corpus is not None and len(labelled.cells.obs) + len(labelled.corpus.obs) == N_LARGE
    assert peak < 2.5 * size, peak / size


@pytest.mark.parametrize("is_dense", [False, True])
def test_a_sample_of_a_large_file_takes_the_memory_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_dense: bool
) -> None:
    small = {"IN_MEMORY": 0, "BYTES_AT_ONCE": 2**17, "CELLS_AT_ONCE": 20}
    for name, value in small.items():
        monkeypatch.setattr(stored_files, name, value)
    monkeypatch.setattr(files, "CHUNK", 2**14)
    counts = np.random.default_rng(0).poisson(0.1, size=(N_LARGE, N_GENES)).astype(np.float32)
    size = 8 * np.count_nonzero(counts)
    hgnc_genes = hgnc.read(helpers.HGNC)
    names = [*(gene.symbol for gene in hgnc_genes), *(f"unknown{i}" for i in range(N_GENES))][:N_GENES]
    obs = pd.DataFrame({"type": np.array(["B", "T"])[np.arange(N_LARGE) % 2]}, index=[f"c{i}" for i in range(N_LARGE)])
    x = counts if is_dense else sp.csr_matrix(counts)
    anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=names)).write_h5ad(tmp_path / "raw.h5ad")
    config, table = parse(obs={"cell_type": "type"}, subset={"n_cells": 30}), genes.Table(hgnc_genes)
    label.label(tmp_path, config, table, "x")
    tracemalloc.start()
    labelled = label.label(tmp_path, config, table, "x")
    x = labelled.cells.x.csr()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rows = [int(name[1:]) for name in labelled.cells.obs.index]
    expected = counts[rows][:, [names.index(name) for name in labelled.var()["original_symbol"]]]
    assert (x.toarray() == expected).all() and len(rows) == 30
    assert peak < 0.6 * size, peak / size  # most of it ids and tables; the matrix alone is 1.0


@pytest.mark.parametrize("subset", [None, {"n_cells": 20}])
def test_indices_of_64_bits_change_no_byte(project: Path, subset: dict[str, int] | None) -> None:
    """Where all cells are evaluated the matrix is not copied; so its indices must be made small by themselves."""
    configure(subset=subset)
    run()
    first = CELLS.read_bytes()
    with h5py.File(RAW, "a") as file:
        for name in ("indices", "indptr"):
            values = file["X"][name][:].astype(np.int64)
            del file["X"][name]
            file["X"].create_dataset(name, data=values).attrs.update({"encoding-type": "array"})
            file["X"][name].attrs["encoding-version"] = "0.2.0"
    run()
    assert CELLS.read_bytes() == first


def test_counts_may_stand_in_a_layer_or_in_raw(project: Path) -> None:
    def to_raw(data: anndata.AnnData) -> None:
        data.raw = data
        data.layers["counts"] = data.X
        data.X = data.layers["logged"]

    change(to_raw)
    for layer in ("raw", "counts"):
        configure(layer=layer)
        np.testing.assert_array_equal(run()[0].X.toarray(), make_cells().X.toarray())


@pytest.mark.parametrize(("keys", "content"), [({"layer": "logged"}, "lognorm"), ({}, "counts")])
def test_log_normalised_values_are_marked_and_found_by_themselves(
    project: Path, keys: dict[str, str], content: str
) -> None:
    for x in (content, "detect"):
        configure(**keys, x=x)
        cells, report = run()
        assert cells.uns["x"] == report["x"] == content
    expected = make_cells().layers["logged"] if keys else make_cells().X
    np.testing.assert_allclose(cells.X.toarray(), expected.toarray(), rtol=1e-6)


def test_explicit_zeros_and_repeated_entries_are_no_values() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 3))
    result = in_memory(matrix).csr()
    assert result.toarray().tolist() == [[0, 3, 0]] and result.nnz == 1


def test_whole_floats_are_counts() -> None:
    assert raw.check_values(in_memory(sp.csr_matrix((3, 4))), "counts", RAW) == "counts"
    assert raw.check_values(in_memory(np.array([[0.0, 2.0**24]])), "detect", RAW) == "counts"


NAMES = ["CD4", "TP53", "LYZ", "TP53"]
REFERENCE = [[1, 2, 1, 5], [0, 3, 1, 1]]  # TP53: 5 and 6
QUERY = [[1, 4, 0, 0], [2, 3, 1, 1]]  # TP53: 7 and 1; with the reference 12 and 7
IDS = ["g0", "g1", "g2", "g3"]
ENSEMBL_IDS = ["ENSG00000010610", "ENSG00000141510", "ENSG00000090382", "ENSG00000153563"]  # the last is CD8A
BY_ID = (
    "1 gene names are those of several columns (x): joined by their ids, equal in both files; of one meaning the "
    "larger total over both decides"
)
BY_TOTAL = (
    "1 gene names are those of several columns (x): their ids differ between the files, so each keeps the column with "
    "its largest total"
)


def columns(names: str, ids: str, totals: list[float]) -> pd.DataFrame:
    """A file's columns; names and ids are letters."""
    return pd.DataFrame({"name": list(names), "id": list(ids), "total": totals})


@pytest.mark.parametrize(
    ("reference", "query", "places", "notes"),
    [
        (columns("axx", "124", [1, 9, 1]), columns("xxa", "421", [9, 1, 1]), [[0, 1, 2], [2, 1, 0]], [BY_ID]),
        (columns("axbx", "1234", [1, 2, 1, 9]), columns("axx", "156", [1, 3, 4]), [[0, 3], [0, 2]], [BY_TOTAL]),
        (columns("axbx", "1234", [1, 9, 1, 9]), columns("ax", "12", [1, 3]), [[0, 1], [0, 1]], [BY_TOTAL]),
        (columns("axbx", "1234", [1, 2, 1, 9]), columns("xax", "212", [3, 1, 3]), [[0, 3], [1, 0]], [BY_TOTAL]),
        (columns("axxb", "1234", [1, 1, 1, 1]), columns("bca", "123", [1, 1, 1]), [[0, 3], [2, 0]], []),
    ],
    ids=["same ids", "other ids", "not repeated in one", "an id that is no id", "names that one lacks"],
)  # fmt: skip
def test_columns_with_one_name_are_matched(
    reference: pd.DataFrame, query: pd.DataFrame, places: list[list[int]], notes: list[str]
) -> None:
    assert match_columns(reference, query) == (places, notes)


def test_a_reference_and_a_query_are_one_dataset(project: Path) -> None:
    split_files(expected={"n_cells": 60, "reference": 40, "query": 20, "cell_type": 3})
    cells, report = run()
    assert cells.obs["part"].tolist() == ["reference"] * 40 + ["query"] * 20
    assert list(cells.obs_names) == [f"cell{number}" for number in range(N_CELLS)]
    assert report["checked"]["query"] == {"found": 20, "expected": 20, "match": True}
    assert {Path(path).name for path in report["files"]} == {"reference.h5ad", "query.h5ad", "hgnc.tsv"}
    assert "part" not in report["annotations"]
    assert (report["cells"]["n_evaluated"], report["cells"]["n_scored"]) == (60, 20)
    assert shared.read_obs("mine")["part"].tolist() == cells.obs["part"].tolist()


def test_the_files_are_joined_by_gene_and_shared_ids_are_told_apart(project: Path) -> None:
    query = make_cells()[:20, ["LYZ", "CD4", "NKG7"]].copy()
    split_files(anndata.concat([query, make_cells()[:20, ["GAPDH"]]], axis=1, merge="first"))
    cells, report = run()
    assert cells.obs_names[0] == "reference_cell0" and cells.obs_names[40] == "query_cell0"
    assert list(cells.var["original_symbol"]) == ["CD4", "NKG7", "LYZ", "GAPDH"]
    np.testing.assert_array_equal(cells[cells.obs["part"] == "query"].X.toarray(), cells[:20].X.toarray())
    assert "reference.h5ad: 8 of 12 genes are not in the other file" in report["notes"]


@pytest.mark.parametrize(
    ("ids", "query_ids", "config", "symbols", "note"),
    [
        (IDS, IDS, {}, ["CD4", "TP53", "LYZ"], BY_ID),
        (IDS, [*IDS[:3], "g9"], {}, ["CD4", "LYZ", "TP53"], BY_TOTAL),
        (ENSEMBL_IDS, ENSEMBL_IDS, {"ensembl": "id"}, ["CD4", "TP53", "LYZ", "CD8A"], BY_ID),
        (ENSEMBL_IDS, ENSEMBL_IDS, {"ensembl": "index"}, ["CD4", "TP53", "LYZ", "CD8A"], BY_ID),
        (ENSEMBL_IDS, ENSEMBL_IDS, {}, ["CD4", "TP53", "LYZ", "CD8A"], BY_ID),
    ],
    ids=["the total over both decides", "each keeps its own", "two genes stay two", "ids in the index", "unnamed ids"],
)
def test_columns_with_one_name_are_joined(
    project: Path, ids: list[str], query_ids: list[str], config: dict[str, str], symbols: list[str], note: str
) -> None:
    for name, matrix, own in (("reference", REFERENCE, ids), ("query", QUERY, query_ids)):
        obs = pd.DataFrame({"celltype": ["B", "T"]}, index=[f"{name}_{i}" for i in range(2)])
        var = pd.DataFrame({"gene_name": NAMES, "id": own}, index=own)
        data = anndata.AnnData(sp.csr_matrix(np.array(matrix, dtype=np.float32)), obs=obs, var=var)
        order = slice(None, None, 1 if name == "reference" else -1)  # columns may stand in any order
        data[:, order].copy().write_h5ad(FOLDER / f"{name}.h5ad")
    source = local("reference.h5ad", "query.h5ad")
    configure(source=source, obs={"cell_type": "celltype"}, symbol="gene_name", **config)
    cells, report = run()
    assert list(cells.var_names) == symbols
    own_columns = {"CD4": (0, 0), "TP53": (1, 1), "LYZ": (2, 2), "CD8A": (3, 3)}
    if note == BY_TOTAL:
        own_columns["TP53"] = (3, 1)
    places = np.array([own_columns[symbol] for symbol in symbols]).T
    expected = [*np.array(REFERENCE)[:, places[0]], *np.array(QUERY)[:, places[1]]]
    np.testing.assert_array_equal(cells.X.toarray(), expected)
    assert note.replace("(x)", "(TP53)") in report["notes"]
    assert report["annotations"]["cell_type"]["n_labels_scored"] == 2


def dropped_copies_and_empty_cells(data: anndata.AnnData) -> None:
    """Cells without a count, cells with the counts of another, and two columns for one gene."""
    x = data.X.toarray()
    x[[2, 50]] = 0
    x[[9, 41]] = x[[8, 3]]
    data.X = sp.csr_matrix(x)
    data.var_names = [*data.var_names[:-1], data.var_names[0]]


SCENARIOS: list[Callable[[], Any]] = [
    lambda: configure(subset={"n_cells": 20, "by": "patient", "seed": 1}),
    lambda: change(dropped_copies_and_empty_cells),
    lambda: change(set_x(np.asarray)),
    lambda: change(set_x(lambda x: x.astype(np.int32))),
    lambda: change(set_x(lambda x: sp.csr_matrix(x.astype(np.float64)))),
    lambda: configure(layer="logged", x="lognorm"),
    lambda: split_files(),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=range(len(SCENARIOS)))
def test_cells_that_are_read_some_after_the_other_are_the_same_bytes(
    project: Path, scenario: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario()
    run()
    whole = {path: path.read_bytes() for path in (CELLS, CORPUS, RECORD) if path.exists()}
    for name, value in {"IN_MEMORY": 0, "BYTES_AT_ONCE": 1, "CELLS_AT_ONCE": 7}.items():
        monkeypatch.setattr(stored_files, name, value)
    run()
    assert {path: path.read_bytes() for path in (CELLS, CORPUS, RECORD) if path.exists()} == whole


@pytest.mark.parametrize(
    ("name", "how", "text"),
    [
        ("indices", lambda x: np.where(np.arange(len(x)) == 300, 10**6, x), "no valid sparse matrix"),
        ("indptr", lambda x: np.where(np.arange(len(x)) == 30, 10**6, x), "its index pointer descends"),
        ("data", lambda x: np.where(np.arange(len(x)) == 300, np.nan, x), "NaN or infinite values in 1 of 60 cells"),
        ("data", lambda x: x[:-1], "its parts do not fit"),
    ],
)
def test_a_fault_far_into_a_file_that_is_read_in_parts_is_refused(
    project: Path, name: str, how: Callable[[np.ndarray], np.ndarray], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(RAW, "a") as file:
        changed = how(file[f"X/{name}"][...])
        del file[f"X/{name}"]
        file[f"X/{name}"] = changed
    monkeypatch.setattr(stored_files, "IN_MEMORY", 0)
    monkeypatch.setattr(stored_files, "CELLS_AT_ONCE", 7)
    assert_refused(1, text)


def test_no_cell_of_a_matrix_that_is_read_in_parts_is_an_empty_matrix() -> None:
    blocks = partial(in_blocks, lambda first, last: sp.csr_matrix(np.ones((2, 3))), 2)
    read = Matrix(blocks, (2, 3), np.dtype(float))
    none = read.cells(np.array([], dtype=int)).csr()
    assert none.shape == (0, 3) and none.nnz == 0 and none.indices.dtype.kind == "i"

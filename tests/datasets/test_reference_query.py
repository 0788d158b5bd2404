"""Datasets in two files: cells of both, joined by gene, also where several columns have one name."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.data import cells as shared
from genept.datasets.h5ad import match_columns
from tests.datasets.made import FOLDER, N_CELLS, configure, local, make_cells, run, split_files

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
    ],
    ids=["the total over both files decides", "each file keeps its own", "two known genes stay two"],
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

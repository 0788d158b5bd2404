"""Datasets in two files: cells of both, joined by gene, also where several columns have one name."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.data import cells as shared
from genept.datasets.reference_query import Columns, match_columns
from tests.datasets.made import FOLDER, N_CELLS, configure, local, make_cells, run, split_files

NAMES = ["CD4", "TP53", "LYZ", "TP53"]
REFERENCE = [[1, 2, 1, 5], [0, 3, 1, 1]]  # TP53: 5 and 6
QUERY = [[1, 4, 0, 0], [2, 3, 1, 1]]  # TP53: 7 and 1; with the reference 12 and 7
IDS = ["g0", "g1", "g2", "g3"]
BY_ID = (
    "1 gene names are those of several columns (x): joined by their ids, equal in both files; of one meaning the "
    "larger total over both decides"
)
BY_TOTAL = (
    "1 gene names are those of several columns (x): their ids differ between the files, so each keeps the column with "
    "its largest total"
)


def columns(names: str, ids: str, totals: list[float]) -> Columns:
    """A file's columns; names and ids are letters."""
    return Columns(list(names), list(ids), np.array(totals))


@pytest.mark.parametrize(
    ("reference", "query", "places", "notes"),
    [
        (columns("axx", "124", [1, 9, 1]), columns("xxa", "421", [9, 1, 1]), [[0, 1, 2], [2, 1, 0]], [BY_ID]),
        (columns("axbx", "1234", [1, 2, 1, 9]), columns("axx", "156", [1, 3, 4]), [[0, 3], [0, 2]], [BY_TOTAL]),
        (columns("axbx", "1234", [1, 2, 1, 9]), columns("ax", "12", [1, 3]), [[0, 3], [0, 1]], [BY_TOTAL]),
        (columns("axbx", "1234", [1, 2, 1, 9]), columns("xax", "212", [3, 1, 3]), [[0, 3], [1, 0]], [BY_TOTAL]),
        (columns("axxb", "1234", [1, 1, 1, 1]), columns("bca", "123", [1, 1, 1]), [[0, 3], [2, 0]], []),
    ],
    ids=["same ids", "other ids", "not repeated in one", "an id that is no id", "names that one lacks"],
)  # fmt: skip
def test_columns_with_one_name_are_matched(
    reference: Columns, query: Columns, places: list[list[int]], notes: list[str]
) -> None:
    assert match_columns([reference, query]) == (places, notes)


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


def write_file(name: str, matrix: list[list[int]], ids: list[str], names: list[str] = NAMES) -> None:
    obs = pd.DataFrame({"celltype": ["B", "T"], "donor": ["1", "2"]}, index=[f"{name}_{i}" for i in range(2)])
    var = pd.DataFrame({"gene_name": names, "id": ids}, index=ids)
    values = sp.csr_matrix(np.array(matrix, dtype=np.float32))
    anndata.AnnData(values, obs=obs, var=var).write_h5ad(FOLDER / f"{name}.h5ad")
    labels = {"cell_type": "celltype", "patient": "donor"}
    configure(source=local("reference.h5ad", "query.h5ad"), obs=labels, symbol="gene_name")


def test_the_total_over_both_files_decides_where_the_ids_are_the_same(project: Path) -> None:
    write_file("reference", REFERENCE, IDS)
    write_file("query", [row[::-1] for row in QUERY], IDS[::-1], NAMES[::-1])
    cells, report = run()
    assert list(cells.var_names) == ["CD4", "TP53", "LYZ"]
    # column 1 in both, though column 3 of the reference has more
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 2, 1], [0, 3, 1], [1, 4, 0], [2, 3, 1]])
    assert report["genes"]["dropped_duplicates"] == ["TP53"] and report["checked"]["n_genes"]["found"] == 4
    assert report["annotations"]["cell_type"]["n_labels_scored"] == 2
    assert BY_ID.replace("(x)", "(TP53)") in report["notes"]


def test_each_file_keeps_its_own_where_the_ids_differ(project: Path) -> None:
    write_file("reference", REFERENCE, IDS)
    write_file("query", QUERY, [*IDS[:3], "g9"])
    cells, report = run()
    assert list(cells.var_names) == ["CD4", "LYZ", "TP53"]
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 1, 5], [0, 1, 1], [1, 0, 4], [2, 1, 3]])
    assert report["checked"]["n_genes"]["found"] == 3
    assert BY_TOTAL.replace("(x)", "(TP53)") in report["notes"]


def test_columns_with_one_name_and_two_known_genes_stay_two_as_in_one_file(project: Path) -> None:
    """Of names that repeat, Ensembl ids decide what is meant; so both stay, one under its own symbol."""
    ids = ["ENSG00000010610", "ENSG00000141510", "ENSG00000090382", "ENSG00000153563"]  # the last is CD8A
    write_file("reference", REFERENCE, ids)
    write_file("query", QUERY, ids)
    configure(
        source=local("reference.h5ad", "query.h5ad"), symbol="gene_name", ensembl="id", obs={"cell_type": "celltype"}
    )
    cells, _ = run()
    assert list(cells.var_names) == ["CD4", "TP53", "LYZ", "CD8A"]
    np.testing.assert_array_equal(cells.X.toarray(), [*REFERENCE, *QUERY])

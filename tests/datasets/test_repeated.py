"""Gene names that several columns of a data set in two files have."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.datasets import repeated
from genept.datasets.repeated import Columns
from tests.datasets.made import RAW, write_params
from tests.datasets.outcome import run

NAMES = ["CD4", "TP53", "LYZ", "TP53"]
REFERENCE = [[1, 2, 1, 5], [0, 3, 1, 1]]  # TP53: 5 and 6
QUERY = [[1, 4, 0, 0], [2, 3, 1, 1]]  # TP53: 7 and 1; with the reference 12 and 7
IDS = ["ENSG00000010610", "ENSG00000141510", "ENSG00000090382", "ENSG00000141510"]


def columns(names: str, ids: str, totals: list[float]) -> Columns:
    """A file's columns; names and ids are letters."""
    return Columns(list(names), list(ids), np.array(totals))


def test_columns_with_the_same_ids_are_joined_by_them_wherever_they_stand() -> None:
    joined = repeated.join([columns("axbx", "1234", [1, 9, 1, 1]), columns("xxab", "4213", [9, 1, 1, 1])])
    assert joined.columns == [[0, 1, 2, 3], [2, 1, 3, 0]]
    assert joined.notes == [
        "1 gene names are those of several columns (x): joined by their ids, equal in both files; "
        "the larger total over both is kept of one meaning"
    ]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        (columns("axx", "156", [1, 3, 4]), [0, 2]),  # other ids
        (columns("ax", "12", [1, 3]), [0, 1]),  # once only
        (columns("xax", "212", [3, 1, 3]), [1, 0]),  # an id that is no id; equal totals, the first
    ],
)
def test_without_common_ids_each_file_keeps_its_largest_total(query: Columns, places: list[int]) -> None:
    joined = repeated.join([columns("axbx", "1234", [1, 2, 1, 9]), query])
    assert joined.columns == [[0, 3], places]
    assert joined.notes == [
        "1 gene names are those of several columns (x): their ids differ between the files, so each keeps the "
        "column with its largest total"
    ]


def test_names_that_one_file_lacks_are_left_out_and_none_is_noted() -> None:
    joined = repeated.join([columns("axxb", "1234", [1, 1, 1, 1]), columns("bca", "123", [1, 1, 1])])
    assert joined == repeated.Joined([[0, 3], [2, 0]], [])


def write_part(name: str, matrix: list[list[int]], ids: list[str], names: list[str]) -> None:
    obs = pd.DataFrame({"celltype": ["B", "T"], "donor": ["1", "2"]}, index=[f"{name}_{i}" for i in range(2)])
    var = pd.DataFrame({"gene_name": names}, index=ids)
    values = sp.csr_matrix(np.array(matrix, dtype=np.float32))
    anndata.AnnData(values, obs=obs, var=var).write_h5ad(RAW.with_name(f"{name}.h5ad"))


def entry(**changes: object) -> None:
    files = {f"{name}.h5ad": {"path": f"{name}.h5ad"} for name in ("reference", "query")}
    obs = {"cell_type": "celltype", "patient": "donor"}
    write_params(source={"kind": "local", "files": files}, obs=obs, **changes)


def test_the_total_over_both_files_decides_where_the_ids_are_the_same(project: Path) -> None:
    ids = ["g0", "g1", "g2", "g3"]
    write_part("reference", REFERENCE, ids, NAMES)
    write_part("query", [row[::-1] for row in QUERY], ids[::-1], NAMES[::-1])
    entry(symbol="gene_name")
    cells, _, report = run()
    assert list(cells.var_names) == ["CD4", "TP53", "LYZ"]
    # column 1 in both, though column 3 of the reference has more
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 2, 1], [0, 3, 1], [1, 4, 0], [2, 3, 1]])
    assert report["genes"]["dropped_duplicates"] == ["TP53"] and report["checked"]["n_genes"]["found"] == 4
    assert any(note.startswith("1 gene names are those of several columns (TP53): joined") for note in report["notes"])


def test_each_file_keeps_its_own_where_the_ids_differ(project: Path) -> None:
    write_part("reference", REFERENCE, ["g0", "g1", "g2", "g3"], NAMES)
    write_part("query", QUERY, ["g0", "g1", "g2", "g9"], NAMES)
    entry(symbol="gene_name")
    cells, _, report = run()
    assert list(cells.var_names) == ["CD4", "LYZ", "TP53"]
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 1, 5], [0, 1, 1], [1, 0, 4], [2, 1, 3]])
    assert report["checked"]["n_genes"]["found"] == 3
    assert any("so each keeps the column with its largest total" in note for note in report["notes"])


def test_columns_with_one_name_and_two_known_genes_stay_two_as_in_one_file(project: Path) -> None:
    """Of names that repeat, Ensembl ids decide what is meant; so both are kept, one under its own symbol."""
    ids = [*IDS[:3], "ENSG00000153563"]  # CD8A
    for name, matrix in (("reference", REFERENCE), ("query", QUERY)):
        write_part(name, matrix, ids, NAMES)
        data = anndata.read_h5ad(RAW.with_name(f"{name}.h5ad"))
        data.var["id"] = ids
        data.write_h5ad(RAW.with_name(f"{name}.h5ad"))
    entry(symbol="gene_name", ensembl="id")
    cells, _, _ = run()
    assert list(cells.var_names) == ["CD4", "TP53", "LYZ", "CD8A"]
    np.testing.assert_array_equal(cells.X.toarray(), [*REFERENCE, *QUERY])

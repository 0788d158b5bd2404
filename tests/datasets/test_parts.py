"""Annotations made from others, and data sets in two files."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np

from genept.data import cells as shared
from tests.datasets.made import N_CELLS, RAW, SYMBOLS, change, make_cells, set_obs, write_params
from tests.datasets.outcome import assert_refused, run


def test_derived_annotations_are_labels_like_any_other(project: Path) -> None:
    change(set_obs("years", [f"{30 + 10 * (number % 6)} year" for number in range(N_CELLS)]))
    write_params(
        obs={"cell_type": "celltype", "patient": "donor", "age": "years"},
        derive={
            "phenotype": {"of": "patient", "map": {str(donor): "low" if donor < 2 else "high" for donor in range(6)}},
            "age_bin": {"of": "age", "quantiles": 2, "over": "patient"},
        },
        expected={"age": 6, "age_bin": 2, "phenotype": 2},
        subset={"n_cells": 20, "by": "phenotype"},
        finetune="age_bin",
    )
    cells, _, report = run()
    assert (cells.obs["phenotype"] == "low").sum() == 10
    assert set(cells.obs["age_bin"][cells.obs["patient"].isin(["0", "1", "2"])]) == {"<=55"}
    assert report["derived"]["age_bin"]["edges"] == [55.0]
    assert report["annotations"]["age_bin"]["column"] == "derived"


def two_parts(project: Path, query: anndata.AnnData | None = None) -> None:
    """Put the file's first 40 cells into reference.h5ad and the others, or `query`, into query.h5ad."""
    data = anndata.read_h5ad(RAW)
    RAW.unlink()
    data[:40].copy().write_h5ad(RAW.with_name("reference.h5ad"))
    (data[40:].copy() if query is None else query).write_h5ad(RAW.with_name("query.h5ad"))
    paths = {f"{part}.h5ad": {"path": f"{part}.h5ad"} for part in ("reference", "query")}
    write_params(
        source={"kind": "local", "files": paths}, expected={"n_cells": 60, "reference": 40, "query": 20, "cell_type": 3}
    )


def test_a_reference_and_a_query_are_one_dataset_in_two_parts(project: Path, pristine: Path) -> None:
    two_parts(project)
    cells, _, report = run()
    assert cells.obs["part"].tolist() == ["reference"] * 40 + ["query"] * 20
    assert list(cells.obs_names) == [f"cell{number}" for number in range(N_CELLS)]
    assert report["checked"]["query"] == {"found": 20, "expected": 20, "match": True}
    assert {Path(path).name for path in report["files"]} == {"reference.h5ad", "query.h5ad", "hgnc.tsv"}
    assert "part" not in report["annotations"]
    assert (report["cells"]["n_evaluated"], report["cells"]["n_scored"]) == (60, 20)
    assert shared.read_obs("mine")["part"].tolist() == cells.obs["part"].tolist()


def test_the_parts_are_joined_by_gene_and_shared_ids_are_told_apart(project: Path) -> None:
    query = make_cells()[:20, ["LYZ", "CD4", "NKG7"]].copy()
    query = anndata.concat([query, make_cells()[:20, ["GAPDH"]]], axis=1, merge="first")
    two_parts(project, query)
    cells, _, report = run()
    assert cells.obs_names[0] == "reference_cell0" and cells.obs_names[40] == "query_cell0"
    assert list(cells.var["original_symbol"]) == ["CD4", "NKG7", "LYZ", "GAPDH"]
    np.testing.assert_array_equal(cells[cells.obs["part"] == "query"].X.toarray(), cells[:20].X.toarray())
    assert "reference.h5ad: 8 of 12 genes are not in the other file" in report["notes"]


def test_parts_without_a_common_gene_are_refused(project: Path) -> None:
    query = make_cells()[40:].copy()
    query.var_names = [f"Gene{number}" for number in range(len(SYMBOLS))]
    two_parts(project, query)
    assert_refused("reference.h5ad and query.h5ad have no gene in common")

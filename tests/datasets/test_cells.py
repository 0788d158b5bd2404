"""A published file becomes cells in the common form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.data import cells as shared
from genept.datasets import obs
from tests.datasets.made import RAW, SYMBOLS, change, rename, set_obs, set_x, write_params
from tests.datasets.outcome import OUTPUTS, assert_refused, invoke, run


def test_own_data_need_title_note_source_and_obs_only(project: Path, pristine: Path) -> None:
    cells, rest, report = run()
    original = anndata.read_h5ad(pristine)
    assert isinstance(cells.X, sp.csr_matrix)
    assert cells.X.dtype == np.float32
    np.testing.assert_array_equal(cells.X.toarray(), original.X.toarray())
    assert cells.uns["x"] == rest.uns["x"] == report["x"] == "counts"
    assert list(cells.obs_names) == list(original.obs_names)
    assert list(cells.obs.columns) == ["cell_type", "patient", "phenotype"]
    assert list(cells.obs["patient"].astype(str)) == [str(donor) for donor in original.obs["donor"]]
    assert list(cells.var_names) == ["CXCL8" if symbol == "IL8" else symbol for symbol in SYMBOLS]
    assert list(cells.var["original_symbol"]) == SYMBOLS
    assert cells.var.loc["CXCL8", "ensembl_id"] == "ENSG00000169429"
    assert cells.var.loc["AMY1", "ensembl_id"] == ""
    assert rest.shape == (0, len(SYMBOLS))
    assert list(rest.var_names) == list(cells.var_names)


def test_the_annotations_are_repeated_as_a_table_in_the_order_of_the_cells(project: Path) -> None:
    write_params(subset={"n_cells": 20, "by": "patient", "seed": 1})
    cells, _, _ = run()
    table = shared.read_obs("mine")
    assert list(table.index) == list(cells.obs_names)
    pd.testing.assert_frame_equal(table, cells.obs.astype(str), check_names=False)


def test_the_subset_is_balanced_and_with_the_rest_gives_every_cell_once(project: Path, pristine: Path) -> None:
    write_params(subset={"n_cells": 20, "by": "patient", "seed": 1})
    cells, rest, report = run()
    assert sorted(cells.obs["patient"].value_counts()) == [3, 3, 3, 3, 4, 4]
    assert sorted([*cells.obs_names, *rest.obs_names]) == sorted(anndata.read_h5ad(pristine).obs_names)
    assert report["cells"] == {"n_file": 60, "n_empty_dropped": 0, "n_evaluated": 20, "n_scored": 20, "n_rest": 40}
    original = anndata.read_h5ad(pristine)[cells.obs_names]
    np.testing.assert_array_equal(cells.X.toarray(), original.X.toarray())
    order = [int(name.removeprefix("cell")) for name in cells.obs_names]
    assert order == sorted(order), "the order of the file is kept"


def test_equal_runs_give_equal_bytes(project: Path) -> None:
    write_params(subset={"n_cells": 20, "by": "patient", "seed": 1})
    run()
    first = {name: Path(name).read_bytes() for name in OUTPUTS}
    run()
    assert {name: Path(name).read_bytes() for name in OUTPUTS} == first


def test_the_order_of_the_file_does_not_change_which_cells_are_evaluated(project: Path) -> None:
    write_params(subset={"n_cells": 20, "by": "patient", "seed": 1})
    cells, _, _ = run()
    change(lambda data: data[::-1].copy())
    reversed_cells, _, _ = run()
    assert list(reversed_cells.obs_names) == list(cells.obs_names)[::-1]
    np.testing.assert_array_equal(reversed_cells.X.toarray(), cells.X.toarray()[::-1])


def test_the_record_says_what_was_found_renamed_and_counted(project: Path) -> None:
    write_params(
        expected={"n_cells": 60, "n_genes": 12, "cell_type": 3}, subset={"n_cells": 20, "by": "patient", "seed": 1}
    )
    cells, _, report = run()
    assert report["checked"]["n_cells"] == {"found": 60, "expected": 60, "match": True}
    assert report["checked"]["patient"] == {"found": 6}
    assert report["files"][str(RAW)]["sha256"] == hashlib.sha256(RAW.read_bytes()).hexdigest()
    assert report["genes"]["renamed"] == {"IL8": "CXCL8"}
    assert report["genes"]["ambiguous"] == ["AMY1"]
    assert report["genes"]["unknown"] == ["AC000001.1"]
    assert report["genes"]["n_without_ensembl_id"] == 2
    assert report["genes"]["n_known_to_hgnc"] == 10
    annotation = report["annotations"]["cell_type"]
    assert annotation["all_cells"] == {"B": 20, "NK": 20, "T": 20}
    assert annotation["evaluated_cells"] == cells.obs["cell_type"].value_counts().to_dict()
    assert report["patients"]["phenotype"] == {
        "patients_per_label": {"sick": 3, "well": 3},
        "patients_with_several_labels": [],
    }


def test_rows_of_var_that_are_no_genes_are_left_out_before_names_are_compared(project: Path) -> None:
    """As in CITE-seq, where gene and antibody share the name CD4."""

    def add_antibodies(data: anndata.AnnData) -> None:
        data.var["feature_types"] = ["Gene Expression"] * 10 + ["Antibody Capture"] * 2
        data.var_names = [*SYMBOLS[:10], "CD4", "CD14"]

    change(add_antibodies)
    write_params(keep_var={"feature_types": "Gene Expression"}, expected={"n_genes": 10})
    cells, _, report = run()
    assert list(cells.var["original_symbol"]) == SYMBOLS[:10]
    assert report["genes"]["dropped_duplicates"] == []


def test_empty_cells_are_dropped_and_counted(project: Path) -> None:
    def empty_three(data: anndata.AnnData) -> None:
        dense = data.X.toarray()
        dense[[0, 5, 9]] = 0
        data.X = sp.csr_matrix(dense)

    change(empty_three)
    write_params(expected={"n_cells": 60})
    cells, _, report = run()
    assert report["cells"]["n_empty_dropped"] == 3
    assert cells.n_obs == 57
    assert not {"cell0", "cell5", "cell9"} & set(cells.obs_names)


def test_of_two_columns_with_one_name_the_larger_is_kept(project: Path) -> None:
    change(rename(["TP53", "TP53", *SYMBOLS[2:]]))
    before = anndata.read_h5ad(RAW).X.toarray()
    cells, _, report = run()
    larger = before[:, :2].sum(axis=0).argmax()
    np.testing.assert_array_equal(cells[:, "TP53"].X.toarray().ravel(), before[:, larger])
    assert report["genes"]["dropped_duplicates"] == ["TP53"]


def test_ensembl_ids_with_versions_become_symbols(project: Path) -> None:
    change(rename(["ENSG00000141510.18", "ENSG00000169429.11", *SYMBOLS[2:]]))
    cells, _, report = run()
    assert list(cells.var_names[:2]) == ["TP53", "CXCL8"]
    assert list(cells.var["ensembl_id"].iloc[:2]) == ["ENSG00000141510", "ENSG00000169429"]
    assert report["genes"]["renamed"]["ENSG00000141510.18"] == "TP53"


def test_symbols_and_ensembl_ids_may_stand_in_columns_of_var(project: Path) -> None:
    def to_columns(data: anndata.AnnData) -> None:
        data.var["gene_name"] = SYMBOLS
        data.var["gene_ids"] = ["ENSG00000141510.1", *[""] * 11]
        data.var_names = [str(number) for number in range(12)]

    change(to_columns)
    write_params(symbol="gene_name", ensembl="gene_ids")
    cells, _, _ = run()
    assert list(cells.var_names[:2]) == ["TP53", "CXCL8"]


def test_missing_labels_are_called_unknown_and_counted(project: Path) -> None:
    labels = pd.Series(["B", "T", None] * 20, dtype=object)
    labels[1] = "  T "
    labels[4] = "nan"
    labels[7] = ""
    change(set_obs("celltype", labels.to_numpy()))
    write_params(expected={"cell_type": 2})
    cells, _, report = run()
    assert cells.obs["cell_type"].value_counts().to_dict() == {"Unknown": 22, "B": 20, "T": 18}
    assert report["annotations"]["cell_type"]["n_missing"] == 22
    assert report["annotations"]["cell_type"]["all_cells"] == {"B": 20, "T": 18}


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (np.array([1.0, 2.0, np.nan, 2.5]), ["1", "2", None, "2.5"]),
        (np.array([1.0, np.nan], dtype=np.float32), ["1", None]),
        (pd.array([1, None], dtype="Int64"), ["1", None]),
        ([True, False], ["True", "False"]),
        (pd.Categorical(["b", None, " a"], categories=["unused", "b", " a"]), ["b", None, "a"]),
        ([None, None], [None, None]),
    ],
)
def test_labels_of_any_type_become_text(values: Any, texts: list[str | None]) -> None:
    assert obs.as_text(pd.Series(values)).to_list() == texts


def test_the_record_says_how_the_labels_came_about(project: Path) -> None:
    cells, rest, report = run()
    assert report["label_source"] == "author"
    assert cells.uns == rest.uns == {"x": "counts", "label_source": "author"}
    write_params(label_source="reanalysis")
    assert run()[2]["label_source"] == "reanalysis"
    write_params(label_source="user")
    assert run()[2]["label_source"] == "user"
    write_params(label_source="mine")
    assert_refused("label_source: 'mine' is none of author, reanalysis, user", exit_code=2)


def test_small_classes_are_reported_and_kept(project: Path) -> None:
    change(set_obs("celltype", ["rare"] * 3 + ["B", "T", "NK"] * 19))
    result = invoke()
    assert result.exit_code == 0
    assert "mine: cell_type: fewer than 10 evaluated cells of rare (3)\n" in result.output
    report = json.loads(Path("metrics/verification/mine.json").read_text())
    assert report["annotations"]["cell_type"]["smaller_than_min_class_size"] == ["rare"]
    assert (shared.read("mine").obs["cell_type"] == "rare").sum() == 3


def test_a_condition_with_one_label_is_noted_and_kept(project: Path) -> None:
    change(set_obs("condition", "sick"))
    cells, _, report = run()
    assert "phenotype has one label only, so it is not scored" in report["notes"]
    assert set(cells.obs["phenotype"]) == {"sick"}


def test_a_patient_with_cells_under_two_phenotypes_is_reported(project: Path) -> None:
    change(set_obs("condition", ["sick"] * 31 + ["well"] * 29))
    _, _, report = run()
    assert report["patients"]["phenotype"]["patients_with_several_labels"] == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("form", [np.asarray, sp.csc_matrix, sp.csr_matrix, lambda x: x.astype(np.int32)])
def test_any_storage_of_counts_gives_the_same_cells(project: Path, form: Callable[[Any], Any], pristine: Path) -> None:
    change(set_x(form))
    cells, _, _ = run()
    np.testing.assert_array_equal(cells.X.toarray(), anndata.read_h5ad(pristine).X.toarray())


def test_declared_log_normalised_values_are_accepted_and_marked(project: Path, pristine: Path) -> None:
    write_params(x="lognorm", layer="logged")
    cells, rest, report = run()
    assert cells.uns["x"] == rest.uns["x"] == report["x"] == "lognorm"
    expected = anndata.read_h5ad(pristine).layers["logged"].toarray()
    np.testing.assert_allclose(cells.X.toarray(), expected, rtol=1e-6)


def test_counts_may_stand_in_a_layer_or_in_raw(project: Path, pristine: Path) -> None:
    def to_raw(data: anndata.AnnData) -> None:
        data.raw = data
        data.X = data.layers["logged"]

    change(to_raw)
    write_params(layer="raw")
    cells, _, _ = run()
    np.testing.assert_array_equal(cells.X.toarray(), anndata.read_h5ad(pristine).X.toarray())


# What is refused.

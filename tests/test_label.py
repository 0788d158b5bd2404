"""Labelling: a published file becomes cells in the common form, or one clear line and nothing written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import click.testing
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

from stages import cells as shared
from stages.errors import InputError, ParamsError
from stages.label import cells as labelling
from stages.label import counts, entry, obs, record
from stages.label.__main__ import main
from tests import helpers

RAW = Path("data/mine/raw/raw.h5ad")
OUTPUTS = ("data/mine/cells.h5ad", "data/mine/rest.h5ad", "data/mine/obs.csv", "metrics/verification/mine.json")
SYMBOLS = ["TP53", "IL8", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH", "ACTB", "AC000001.1", "AMY1"]
N_CELLS = 60


def make_cells() -> anndata.AnnData:
    """60 cells of 6 donors, 3 cell types and 2 conditions; 12 genes; counts in X, their logarithms in a layer."""
    rng = np.random.default_rng(7)
    matrix = rng.poisson(1.5, size=(N_CELLS, len(SYMBOLS))).astype(np.float32)
    matrix[:, 0] += 1  # no empty cell
    donors = np.arange(N_CELLS) % 6
    table = pd.DataFrame(
        {
            "celltype": pd.Categorical(np.array(["B", "T", "NK"])[np.arange(N_CELLS) % 3]),
            "donor": donors,
            "condition": np.where(donors < 3, "sick", "well"),
        },
        index=[f"cell{number}" for number in range(N_CELLS)],
    )
    data = anndata.AnnData(sp.csr_matrix(matrix), obs=table, var=pd.DataFrame(index=SYMBOLS))
    data.layers["logged"] = sp.csr_matrix(np.log1p(matrix / matrix.sum(axis=1, keepdims=True) * 1e4))
    return data


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("label") / "raw.h5ad"
    make_cells().write_h5ad(path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pristine: Path) -> Path:
    """A project with the smallest possible entry: title, note, source and obs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / RAW).parent.mkdir(parents=True)
    shutil.copy(pristine, RAW)
    Path("data/reference/hgnc").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "fixtures" / "hgnc_small.tsv", "data/reference/hgnc/hgnc.tsv")
    write_params()
    return tmp_path


def write_params(**changes: Any) -> None:
    content = {
        "title": "Mine",
        "note": "",
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad"}}},
        "obs": {"cell_type": "celltype", "patient": "donor", "phenotype": "condition"},
        **changes,
    }
    content = {key: value for key, value in content.items() if value is not None}
    params = {"threads": 1, "label": {"min_class_size": 10}, "datasets": {"mine": content}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def change(how: Callable[[anndata.AnnData], Any]) -> None:
    """Rewrite the raw file after changing the cells; `how` may return others."""
    data = anndata.read_h5ad(RAW)
    result = how(data)
    (result if isinstance(result, anndata.AnnData) else data).write_h5ad(RAW)


def set_value(value: float) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        dense = data.X.toarray().astype(np.float64)
        dense[3, 2] = value
        data.X = dense

    return apply


def set_x(matrix: Callable[[np.ndarray], np.ndarray]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.X = matrix(data.X.toarray())

    return apply


def rename(names: list[str]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.var_names = names

    return apply


def set_obs(column: str, values: Any) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.obs[column] = values

    return apply


def name_cells(first: list[str]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.obs_names = [*first, *data.obs_names[len(first) :]]

    return apply


def invoke(dataset: str = "mine") -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, [dataset], catch_exceptions=False)


def run() -> tuple[anndata.AnnData, anndata.AnnData, dict[str, Any]]:
    result = invoke()
    assert result.exit_code == 0, result.output
    report = json.loads(Path("metrics/verification/mine.json").read_text())
    return shared.read("mine"), shared.read("mine", "rest"), report


def keep_earlier_results() -> None:
    for name in OUTPUTS:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"earlier")


def assert_earlier_results_are_kept() -> None:
    assert all(Path(name).read_bytes() == b"earlier" for name in OUTPUTS)
    assert not list(Path().rglob(".writing-*"))


def assert_refused(*texts: str, exit_code: int = 1) -> None:
    """Assert one clear line, and every earlier result as it was."""
    keep_earlier_results()
    result = invoke()
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    for text in texts:
        assert text in result.output
    assert_earlier_results_are_kept()


# What comes out.


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


def test_parts_without_a_common_gene_or_with_a_gene_twice_are_refused(project: Path) -> None:
    query = make_cells()[40:].copy()
    query.var_names = [f"Gene{number}" for number in range(len(SYMBOLS))]
    two_parts(project, query)
    assert_refused("reference.h5ad and query.h5ad have no gene in common")
    query.var_names = ["TP53", "TP53", *SYMBOLS[2:]]
    query.write_h5ad(RAW.with_name("query.h5ad"))
    assert_refused("query.h5ad: two genes are called 'TP53'")


def test_the_record_says_how_the_labels_came_about(project: Path) -> None:
    assert run()[2]["label_source"] == "author"
    write_params(label_source="reanalysis")
    assert run()[2]["label_source"] == "reanalysis"
    write_params(label_source="mine")
    assert_refused("label_source: 'mine' is neither of author and reanalysis", exit_code=2)


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


@pytest.mark.parametrize(
    ("how", "texts"),
    [
        (set_value(-1), ["X has negative values (down to -1)", "as `layer:` in params.yaml"]),
        (set_value(np.nan), ["X has NaN or infinite values in 1 of 60 cells"]),
        (set_value(np.inf), ["X has NaN or infinite values in 1 of 60 cells"]),
        (set_value(100.5), ["declared counts but 1 of its", "corrected or estimated counts perhaps"]),
        (set_value(2**24 + 1), ["X has a count of 16777217, more than 2^24"]),
        (set_x(np.log1p), ["it looks log-normalised", "declare `x: lognorm`"]),
        (set_x(lambda x: x / x.sum(axis=1, keepdims=True) * 1e4), ["it looks normalised to 10000 per cell, without"]),
        (set_x(np.zeros_like), ["none of its 60 cells has a count"]),
        (lambda data: data[:0].copy(), ["has 0 cells and 12 genes"]),
        (lambda data: data[:, :0].copy(), ["has 60 cells and 0 genes"]),
        (rename(["Trp53", "Cd4", "Gapdh", "Actb", "Cd14", "Lyz", "Nkg7", *SYMBOLS[7:]]), ["look like mouse genes"]),
        (rename([f"ENSMUSG000000{n:05}" for n in range(12)]), ["not human"]),
        (rename([str(n) for n in range(12)]), ["none of the 12 gene names", "name it as `symbol:` or `ensembl:`"]),
        (name_cells(["a", "a", "b", "a"]), ["2 cells have the id of an earlier cell (such as 'a')", "+ '_' + barcode"]),
        (set_obs("celltype", "B"), ["cell_type has only 'B' in the evaluated cells", "datasets.mine.obs"]),
        (set_obs("celltype", np.nan), ["cell_type has only 'Unknown'"]),
        (lambda data: [data.obs.pop("celltype")], ["obs has no column 'celltype'", "it has donor, condition"]),
        (lambda data: setattr(data, "X", None), ["has no X; name a layer as `layer:` in params.yaml (it has logged)"]),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(project: Path, how: Callable[..., Any], texts: list[str]) -> None:
    change(how)
    assert_refused(str(RAW) if "cell_type has only" not in texts[0] else "mine: ", *texts)


def test_every_contradiction_is_named_in_the_one_line(project: Path) -> None:
    write_params(expected={"n_cells": 61, "n_genes": 12, "cell_type": 4, "patient": 6})
    assert_refused("contradicts params.yaml: n_cells is 60, not 61; cell_type is 3, not 4; correct `expected:` there")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"obs": {"cell_type": "cell_type"}}, "obs has no column 'cell_type', named in params.yaml under obs; did you"),
        ({"obs": {"cell_type": "cell_type"}}, "did you mean 'celltype'?; it has celltype, donor, condition"),
        (
            {"keep_var": {"feature_types": "Gene"}},
            "var has no column 'feature_types', named in params.yaml under keep_",
        ),
        (
            {"symbol": "gene_name"},
            "var has no column 'gene_name', named in params.yaml under symbol; it has no columns",
        ),
        ({"layer": "loged"}, "no layer 'loged'; did you mean 'logged'?; it has logged"),
        ({"layer": "raw"}, "no layer 'raw'; it has logged"),
        ({"x": "lognorm"}, "declared lognorm but holds whole numbers only"),
        ({"source": {"kind": "wheel", "files": {"raw.h5ad": {"sha256": "0" * 64}}}}, "but params.yaml expects 000"),
    ],
)
def test_an_entry_that_does_not_fit_the_file_is_refused(project: Path, changes: dict[str, Any], text: str) -> None:
    write_params(**changes)
    assert_refused(text)


def test_values_that_keep_var_never_meets_are_named(project: Path) -> None:
    change(lambda data: data.var.insert(0, "kind", "gene"))
    write_params(keep_var={"kind": ["Gene", "Gene Expression"]})
    assert_refused("keep_var leaves no gene, var['kind'] is never Gene or Gene Expression; it has 'gene'")


def test_declared_logarithms_that_are_too_large_are_refused(project: Path) -> None:
    change(set_value(812.5))
    write_params(x="lognorm")
    assert_refused("declared lognorm but has values up to 812.5, too large for logarithms")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"note": None}, "datasets.mine has no note"),
        ({"obs": None}, "needs `obs:`"),
        ({"obs": {"celltype": "celltype"}}, "unknown key 'celltype'; did you mean 'cell_type'?"),
        ({"subste": {"n_cells": 3}}, "unknown key 'subste'; did you mean 'subset'?"),
        ({"subset": {"n_cells": 0}}, "subset.n_cells: must be a whole number of at least 1, got 0"),
        ({"subset": {"n_cells": 9, "by": "batch"}}, "subset.by: 'batch' is not an annotation under obs"),
        ({"subset": 100}, "subset: expected a mapping, got 100"),
        ({"expected": {"cells": 60}}, "unknown key 'cells'; did you mean 'n_cells'?"),
        ({"expected": {"n_cells": "many"}}, "must be a whole number of at least 1, got 'many'"),
        ({"finetune": "disease"}, "finetune: 'disease' is not an annotation under obs"),
        ({"x": "log"}, "x: 'log' is none of counts, lognorm, detect"),
        ({"source": {"kind": "local", "files": {"mine.h5ad": {}}}}, "source.files: needs the file raw.h5ad"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(project: Path, changes: dict[str, Any], text: str) -> None:
    write_params(**changes)
    assert_refused("params.yaml: datasets.mine", text, exit_code=2)


def test_an_unknown_dataset_is_said(project: Path) -> None:
    result = invoke("mime")
    assert result.exit_code == 2
    assert "did you mean 'mine'?" in result.output


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(project: Path, keep: float) -> None:
    content = RAW.read_bytes()
    RAW.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    assert_refused(str(RAW), "damaged, cut short or not an h5ad file", "fetch it again")


def test_a_file_with_a_part_missing_is_refused(project: Path) -> None:
    with h5py.File(RAW, "a") as file:
        del file["X/indptr"]
    assert_refused("damaged, cut short or not an h5ad file")


def test_another_hdf5_file_is_refused(project: Path) -> None:
    with h5py.File(RAW, "w") as file:
        file["matrix"] = np.ones(3)
    assert_refused("an HDF5 file but not an h5ad file, it has no obs and no var")


def test_a_file_from_before_anndata_0_7_is_refused_with_a_way_out(project: Path) -> None:
    with h5py.File(RAW, "w") as file:
        file["obs"] = np.array([(b"a",)], dtype=[("index", "S1")])
        file["var"] = np.array([(b"a",)], dtype=[("index", "S1")])
    assert_refused("written by anndata before 0.7", "anndata.read_h5ad(old).write_h5ad(new)")


@pytest.mark.parametrize("path", [RAW, Path("data/reference/hgnc/hgnc.tsv")])
def test_a_missing_input_is_said(project: Path, path: Path) -> None:
    path.unlink()
    assert_refused(f"{path}: no such file; run the stage that makes it first")


def test_a_full_disk_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = labelling.write

    def write_the_first_only(path: Path, cells: anndata.AnnData, content: str) -> None:
        if path.name == "rest.h5ad":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, cells, content)

    monkeypatch.setattr(labelling, "write", write_the_first_only)
    assert_refused("the disk is full")


def test_a_process_killed_while_writing_leaves_the_earlier_results(project: Path) -> None:
    """Killed by itself at the worst moment: the first file written, the second half-written."""
    keep_earlier_results()
    program = (
        "import os, signal, pathlib\n"
        "from stages.label import cells, __main__ as stage\n"
        "write = cells.write\n"
        "def dying(path, *rest):\n"
        "    if path.name == 'rest.h5ad':\n"
        "        path.write_bytes(b'half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(path, *rest)\n"
        "cells.write = dying\n"
        "stage.main(['mine'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert all(Path(name).read_bytes() == b"earlier" for name in OUTPUTS)
    run()


# The parts by themselves.


def test_explicit_zeros_and_repeated_entries_are_no_values() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 3))
    result = counts.to_csr(matrix)
    assert result.toarray().tolist() == [[0, 3, 0]]
    assert result.nnz == 1


def test_an_empty_matrix_and_whole_floats_are_counts() -> None:
    counts.check(sp.csr_matrix((3, 4)), "counts")
    counts.check(sp.csr_matrix(np.array([[0.0, 2.0**24]])), "counts")
    with pytest.raises(InputError, match="whole numbers only"):
        counts.check(sp.csr_matrix(np.array([[0.0, 3.0]])), "lognorm")


def test_text_instead_of_numbers_is_refused() -> None:
    matrix = sp.csr_matrix(np.ones((1, 2)))
    matrix.data = np.array(["a", "b"])
    with pytest.raises(InputError, match="not numbers"):
        counts.check(matrix, "counts")


def test_comparing_reports_every_number_and_whether_it_was_expected() -> None:
    assert record.compare("f", {"n_cells": 3}, {"n_cells": 3, "n_genes": 2}) == {
        "n_cells": {"found": 3, "expected": 3, "match": True},
        "n_genes": {"found": 2},
    }


def test_the_entries_of_this_repository_are_valid() -> None:
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, content in params["datasets"].items():
        assert entry.parse(name, content).sha256
    with pytest.raises(ParamsError):
        entry.parse("x", {})

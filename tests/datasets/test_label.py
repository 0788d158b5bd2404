"""A published file becomes cells in the common form, and a record of how."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

from genept.data import cells as shared
from genept.datasets import record
from tests.datasets.made import (
    CORPUS,
    N_CELLS,
    OUTPUTS,
    RAW,
    RECORD,
    SYMBOLS,
    change,
    configure,
    invoke,
    make_cells,
    params_text,
    put,
    run,
    set_obs,
    set_x,
)

SUBSET = {"n_cells": 20, "by": "patient", "seed": 1}


def test_title_note_source_and_obs_are_enough(project: Path) -> None:
    cells, report = run()
    original = make_cells()
    assert isinstance(cells.X, sp.csr_matrix) and cells.X.dtype == np.float32
    np.testing.assert_array_equal(cells.X.toarray(), original.X.toarray())
    assert cells.uns == {"x": "counts", "x_dtype": str(original.X.dtype), "label_source": "author"}
    assert (report["x"], report["label_source"]) == ("counts", "author")
    assert (report["title"], report["note"], report["paper"]) == ("Mine", "", None)
    assert list(cells.obs_names) == list(original.obs_names)
    assert list(cells.obs.columns) == ["cell_type", "patient", "phenotype"]
    assert list(cells.obs["patient"].astype(str)) == [str(donor) for donor in original.obs["donor"]]
    assert list(cells.var_names) == ["CXCL8" if symbol == "IL8" else symbol for symbol in SYMBOLS]
    assert list(cells.var["original_symbol"]) == SYMBOLS
    assert (cells.var.loc["CXCL8", "ensembl_id"], cells.var.loc["AMY1", "ensembl_id"]) == ("ENSG00000169429", "")


def test_a_balanced_subset_is_evaluated_and_the_other_cells_are_the_corpus(project: Path) -> None:
    configure(subset=SUBSET)
    cells, report = run()
    corpus, original = anndata.read_h5ad(CORPUS), make_cells()
    assert sorted(cells.obs["patient"].value_counts()) == [3, 3, 3, 3, 4, 4]
    assert sorted([*cells.obs_names, *corpus.obs_names]) == sorted(original.obs_names)
    for part in (cells, corpus):
        np.testing.assert_array_equal(part.X.toarray(), original[part.obs_names].X.toarray())
        order = [int(name.removeprefix("cell")) for name in part.obs_names]
        assert order == sorted(order), "the order of the file"
    assert list(corpus.var_names) == list(cells.var_names) and corpus.uns == cells.uns
    counts = {"n_file": 60, "n_empty_dropped": 0, "n_dropped_by_qc": 0, "n_evaluated": 20, "n_scored": 20}
    assert report["cells"] == counts | {"n_not_evaluated": 40} and report["subset"] == SUBSET
    pd.testing.assert_frame_equal(shared.read_obs("mine"), cells.obs.astype(str), check_names=False)
    first = {path: path.read_bytes() for path in OUTPUTS}
    run()
    assert {path: path.read_bytes() for path in OUTPUTS} == first, "equal runs give equal bytes"


def test_only_datasets_that_models_are_trained_on_have_a_corpus(project: Path) -> None:
    configure(subset={"share": 0.29, "seed": 3})  # rounded down
    cells, _ = run()
    assert (cells.n_obs, anndata.read_h5ad(CORPUS).n_obs) == (17, N_CELLS - 17)
    Path("params.yaml").write_text(params_text("other"))
    run()
    assert CORPUS.parent.is_dir() and not list(CORPUS.parent.iterdir())


def test_the_record_says_what_was_found_renamed_and_counted(project: Path) -> None:
    digest = hashlib.sha256(RAW.read_bytes()).hexdigest()
    source = {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad", "sha256": digest.upper()}}}
    configure(expected={"n_cells": 60, "n_genes": 12, "cell_type": 3}, subset=SUBSET, source=source)
    cells, report = run()
    assert report["checked"]["n_cells"] == {"found": 60, "expected": 60, "match": True}
    assert report["checked"]["patient"] == {"found": 6}
    assert report["files"][str(RAW)]["sha256"] == digest
    assert report["genes"]["renamed"] == {"IL8": "CXCL8"}
    assert (report["genes"]["ambiguous"], report["genes"]["unknown"]) == (["AMY1"], ["AC000001.1"])
    assert (report["genes"]["n_without_ensembl_id"], report["genes"]["n_known_to_hgnc"]) == (2, 10)
    annotation = report["annotations"]["cell_type"]
    assert annotation["all_cells"] == {"B": 20, "NK": 20, "T": 20}
    assert annotation["evaluated_cells"] == cells.obs["cell_type"].value_counts().to_dict()
    donors = {"patients_per_label": {"sick": 3, "well": 3}, "patients_with_several_labels": []}
    assert report["patients"]["phenotype"] == donors


def test_files_that_are_not_as_expected_run_where_that_is_accepted_and_the_record_says_so(project: Path) -> None:
    configure(expected={"n_cells": 61, "n_genes": 12})
    params = yaml.safe_load(params_text())
    Path("params.yaml").write_text(
        yaml.safe_dump({**params, "label": {**params["label"], "accept_unexpected": ["mine"]}})
    )
    _, report = run()
    assert report["unexpected"] == ["n_cells is 60, not 61"]
    assert report["checked"]["n_cells"] == {"found": 60, "expected": 61, "match": False}
    assert "mine: not as expected, but accepted: n_cells is 60, not 61\n" in invoke().output
    configure(expected={"n_cells": 60})
    assert "unexpected" not in run()[1]


def test_what_others_report_is_compared_and_differences_are_noted(project: Path) -> None:
    reported: dict[str, Any] = {
        "the paper": {"n_scored": 13, "patient": 6, "cell_type": ["B", "NK", "Plasma"]},
        "the study": {"n_cells": 60, "cell_type": ["T", "NK", "B"]},
    }
    configure(reported=reported)
    _, report = run()
    types = ["B", "NK", "T"]
    assert [tuple(row.values()) for row in report["reported"]] == [
        ("the paper", "n_scored", 13, 60, False),
        ("the paper", "patient", 6, 6, True),
        ("the paper", "cell_type", ["B", "NK", "Plasma"], types, False),
        ("the study", "n_cells", 60, 60, True),
        ("the study", "cell_type", types, types, True),
    ]
    assert list(report["reported"][0]) == ["by", "what", "reported", "found", "match"]
    assert report["notes"] == [
        "n_scored: the paper reports 13, the files show 60",
        "cell_type: labels that the paper reports and the files lack: Plasma; in the files only: T",
    ]


def test_labels_of_reference_and_query_are_counted_in_the_scored_cells() -> None:
    table = pd.DataFrame({"cell_type": ["a", "b", "c", "Unknown"], "part": ["reference", "query", "query", "query"]})
    reported: dict[str, Any] = {"x": {"cell_type": 2, "n_scored": 3, "reference": 1, "age": 4}}
    rows = record.compare(reported, {"reference": 1}, record.scored_cells(table))
    assert [(row["found"], row["match"]) for row in rows] == [(2, True), (3, True), (1, True), (0, False)]


def test_derived_annotations_are_labels_like_any_other(project: Path) -> None:
    change(set_obs("years", [f"{30 + 10 * (number % 6)} year" for number in range(N_CELLS)]))
    configure(
        obs={"cell_type": "celltype", "patient": "donor", "age": "years"},
        derive={
            "phenotype": {"of": "patient", "map": {str(donor): "low" if donor < 2 else "high" for donor in range(6)}},
            "age_bin": {"of": "age", "quantiles": 2, "over": "patient"},
        },
        expected={"age": 6, "age_bin": 2, "phenotype": 2},
        subset={"n_cells": 20, "by": "phenotype"},
        finetune="age_bin",
    )
    cells, report = run()
    assert (cells.obs["phenotype"] == "low").sum() == 10
    assert set(cells.obs["age_bin"][cells.obs["patient"].isin(["0", "1", "2"])]) == {"<=55"}
    assert report["derived"]["age_bin"]["edges"] == [55.0] and report["finetune"] == "age_bin"
    assert report["annotations"]["age_bin"]["column"] == "derived"


def test_rows_of_var_that_are_no_genes_are_left_out_before_names_are_compared(project: Path) -> None:
    """As in CITE-seq, where gene and antibody share the name CD4."""

    def add_antibodies(data: anndata.AnnData) -> None:
        data.var["feature_types"] = ["Gene Expression"] * 10 + ["Antibody Capture"] * 2
        data.var_names = [*SYMBOLS[:10], "CD4", "CD14"]

    change(add_antibodies)
    configure(keep_var={"feature_types": "Gene Expression"}, expected={"n_genes": 10})
    cells, report = run()
    assert list(cells.var["original_symbol"]) == SYMBOLS[:10] and report["genes"]["dropped_duplicates"] == []


def test_empty_cells_are_dropped_and_counted(project: Path) -> None:
    change(set_x(lambda x: np.where(np.isin(np.arange(N_CELLS), [0, 5, 9])[:, None], 0, x)))
    configure(expected={"n_cells": 60})
    cells, report = run()
    assert report["cells"]["n_empty_dropped"] == 3 and cells.n_obs == 57
    assert not {"cell0", "cell5", "cell9"} & set(cells.obs_names)


def test_symbols_and_ensembl_ids_may_stand_in_columns_of_var(project: Path) -> None:
    def to_columns(data: anndata.AnnData) -> None:
        data.var["gene_name"] = SYMBOLS
        data.var["gene_ids"] = ["ENSG00000141510.1", *[""] * 11]
        data.var_names = [str(number) for number in range(12)]

    change(to_columns)
    configure(symbol="gene_name", ensembl="gene_ids")
    assert list(run()[0].var_names[:2]) == ["TP53", "CXCL8"]


def test_ids_that_several_cells_have_are_numbered_on_demand(project: Path) -> None:
    change(put("obs_names", ["AAAC", "AAAC", "AAAC-1", "AAAC", *(f"cell{number}" for number in range(4, N_CELLS))]))
    configure(repeated_ids="number")
    cells, report = run()
    assert list(cells.obs_names[:5]) == ["AAAC", "AAAC-2", "AAAC-1", "AAAC-3", "cell4"]
    assert "raw.h5ad: 2 cells have the id of an earlier cell; they are numbered" in report["notes"]


IDS = [f"ENSG{i:011}" for i in range(1, len(SYMBOLS) + 1)]


def with_var(index: list[str] | None = None, **columns: Any) -> None:
    change(put("var", pd.DataFrame(columns, index=index or SYMBOLS)))


@pytest.mark.parametrize(
    ("index", "columns", "keys", "names", "note"),
    [
        (
            IDS,
            {"name": [None, "", "nan", *SYMBOLS[3:]]},
            {"symbol": "name"},
            IDS[:3],
            "3 of 12 have no symbol in var['name']",
        ),
        (SYMBOLS, {"name": [*SYMBOLS[:11], np.nan]}, {"symbol": "name"}, ["TP53", "CXCL8"], "1 of 12 have no symbol"),
        (["", "nan", *SYMBOLS[2:]], {}, {}, ["unnamed 1", "unnamed 2", "CD4"], "2 of 12 have no name at all"),
        (SYMBOLS, {"id": IDS}, {"symbol": "index", "ensembl": "id"}, ["TP53", "CXCL8"], ""),
    ],
)
def test_a_gene_without_a_symbol_keeps_its_name_in_the_index(
    index: list[str], columns: dict[str, Any], keys: dict[str, str], names: list[str], note: str, project: Path
) -> None:
    with_var(index, **columns)
    configure(**keys)
    cells, report = run()
    assert list(cells.var_names[: len(names)]) == names and cells.n_vars == len(SYMBOLS)
    assert [text for text in report["notes"] if text.startswith("genes: ")] == ([] if not note else report["notes"][:1])
    assert note in " ".join(report["notes"])


@pytest.mark.parametrize("keys", [{"symbol": "name"}, {"ensembl": "index", "symbol": "name"}])
def test_the_index_has_the_ensembl_ids(keys: dict[str, str], project: Path) -> None:
    with_var(["ENSG00000141510", *IDS[1:]], name=["whatever", *SYMBOLS[1:]])
    configure(**keys)
    cells, _ = run()
    assert cells.var_names[0] == "TP53" and list(cells.var["ensembl_id"])[8] in (IDS[8], "ENSG00000111640")


def test_row_numbers_are_refused_and_the_column_with_genes_is_named(project: Path) -> None:
    with_var([str(i) for i in range(len(SYMBOLS))], feature_name=SYMBOLS)
    done = invoke()
    assert done.exit_code == 1 and "numbers are those of rows" in done.output and "(here 'feature_name')" in done.output


def test_copies_are_counted_and_noted_where_a_split_can_part_them(project: Path) -> None:
    """Cells 0 and 6 are of one donor, 1 and 8 of two."""

    def repeat(pairs: list[tuple[int, int]]) -> None:
        change(set_x(lambda x: x[[dict(pairs).get(i, i) for i in range(N_CELLS)]]))

    repeat([(6, 0), (8, 1)])
    _, report = run()
    assert report["copies"] == {"n_cells": 4, "n_within_scored": 4, "n_of_several_donors": 2}
    assert "copies: 4 scored cells have the counts of another (cell0, cell6)" in report["notes"][0]
    assert "2 of them are in several donors" in report["notes"][0]
    configure(subset=SUBSET)
    _, report = run()
    assert report["copies"]["n_cells"] == 4 and report["cells"]["n_evaluated"] == 20


def test_of_two_columns_of_one_gene_that_with_more_counts_stays_beyond_what_float32_can_add(project: Path) -> None:
    def two_columns(data: anndata.AnnData) -> None:
        """TP53 twice: 2^23 counts in two cells each, then one count in every other cell, which float32 would lose."""
        data.var_names = ["TP53", "TP53", *data.var_names[2:]]
        x = data.X.toarray().astype(np.float32)
        x[:, :2] = 0
        x[:2, :2] = 2**23
        x[2:, 1] = 1
        data.X = sp.csr_matrix(x)

    change(two_columns)
    cells, _ = run()
    assert cells[:, "TP53"].X.sum(dtype=float) == 2**24 + N_CELLS - 2


def test_codes_as_labels_and_labels_that_are_very_long_many_or_no_text_get_short_notes(project: Path) -> None:
    change(set_obs("celltype", [str(i % 3) for i in range(N_CELLS)]))
    _, report = run()
    assert (
        "cell_type: its labels are codes (0, 1, 2), such as clusters have; is it the right column?" in report["notes"]
    )
    labels = [f"T\ncell {i} \x1b[31m\u202e </script> {'x' * 10_000}" for i in range(N_CELLS)]
    change(set_obs("celltype", labels))
    done = invoke()
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert done.exit_code == 0 and "\x1b" not in done.output and len(done.output) < 3000
    assert all(len(note) <= 1000 and "\n" not in note for note in record["notes"])
    obs = shared.read_obs("mine")
    assert obs["cell_type"].nunique() == N_CELLS and obs["cell_type"].iloc[0].startswith(
        "T\\ncell 0 \\x1b[31m\\u202e </scr"
    )

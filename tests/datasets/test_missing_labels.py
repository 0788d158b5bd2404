"""Labels as users have them: missing, rare, constant, of any type; what is noted of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from genept.datasets import raw
from tests.datasets.made import (
    CORPUS,
    change,
    configure,
    invoke,
    make_cells,
    run,
    set_obs,
)


def test_missing_labels_are_called_unknown_and_counted(project: Path) -> None:
    labels = pd.Series(["B", "T", None] * 20, dtype=object)
    labels[[1, 4, 7]] = ["  T ", "nan", ""]
    change(set_obs("celltype", labels.to_numpy()))
    configure(expected={"cell_type": 2})
    cells, report = run()
    assert cells.obs["cell_type"].value_counts().to_dict() == {"Unknown": 22, "B": 20, "T": 18}
    annotation = report["annotations"]["cell_type"]
    assert (annotation["n_missing"], annotation["missing"]) == (22, {"": 21, "nan": 1})
    assert annotation["all_cells"] == {"B": 20, "T": 18} and "missing" not in report["annotations"]["patient"]
    assert report["notes"] == ["cell_type: 22 cells without a label (empty 21, 'nan' 1)"]


MIXED = ["tumour", "tumour", "tumour", " N/A ", "", "null"] * 10


@pytest.mark.parametrize(
    ("own", "kinds", "note"),
    [
        (None, ["Unknown", "tumour"], "30 cells without a label (empty 10, 'N/A' 10, 'null' 10)"),
        (["NULL"], ["N/A", "Unknown", "tumour"], "20 cells without a label (empty 10, 'null' 10)"),
        ([], ["N/A", "Unknown", "null", "tumour"], "10 cells without a label (empty 10)"),
    ],
    ids=["the run's list", "a list of the dataset", "only empty cells"],
)
def test_texts_that_mean_missing_are_no_labels_of_any_annotation(
    project: Path, own: list[str] | None, kinds: list[str], note: str
) -> None:
    change(set_obs("condition", MIXED))
    configure(missing_labels=own, subset={"n_cells": 30, "seed": 0})
    cells, report = run()
    assert sorted(set(cells.obs["phenotype"])) == kinds
    texts = pd.concat([cells.obs, anndata.read_h5ad(CORPUS).obs])
    expected = [kind.strip() if kind.strip() in kinds else "Unknown" for kind in MIXED]
    assert texts["phenotype"].astype(str)[make_cells().obs_names].tolist() == expected
    assert f"phenotype: {note}" in report["notes"]
    is_single = kinds == ["Unknown", "tumour"]
    assert ("phenotype has one label only, so it is not scored" in report["notes"]) == is_single
    assert report["checked"]["phenotype"]["found"] == report["annotations"]["phenotype"]["n_labels_scored"]
    assert report["annotations"]["phenotype"]["n_labels_scored"] == len(kinds) - 1


def test_labels_spelt_like_a_missing_one_or_like_a_column_of_ours_get_another_name(project: Path) -> None:
    change(set_obs("celltype", ["B", "Unknown", "", "actual"] * 15))
    configure(missing_labels=[])
    cells, report = run()
    counts = dict.fromkeys(("B", "Unknown", "Unknown (label)", "actual (label)"), 15)
    assert cells.obs["cell_type"].value_counts().to_dict() == counts
    assert {
        "cell_type: the label 'Unknown' is written 'Unknown (label)', since 'Unknown' stands for no label",
        "cell_type: the label 'actual' is written 'actual (label)', since 'actual' is a column of "
        "metrics/probabilities",
    } <= {*report["notes"]}


@pytest.mark.parametrize(
    ("column", "labels", "notes"),
    [
        ("donor", ["d1"] * 60, ["patient has one label only, so it is not scored", "phenotype: one patient only has"]),
        ("donor", ["-"] * 60, ["patient has no label, so it is not scored", "patient: 60 cells without a label ('-' "]),
        ("donor", ["d1", *["d2"] * 59], ["patient: fewer than 10 evaluated cells of d1 (1)"]),
        ("donor", ["s" if i % 6 < 3 else "w" for i in range(60)], ["phenotype: one patient only has sick, well"]),
        ("condition", ["sick"] * 60, ["phenotype has one label only, so it is not scored"]),
        ("celltype", [f"t{i:02}" for i in range(60)], ["(1), t01 (1), t02 (1), t03 (1), t04 (1) and 55 more"]),
    ],
    ids=["one donor", "no donor", "a donor with one cell", "a donor for each label", "a constant", "classes of a cell"],
)
def test_labels_that_cannot_be_scored_well_are_noted_and_stop_nothing(
    project: Path, column: str, labels: list[str], notes: list[str]
) -> None:
    change(set_obs(column, labels))
    _, report = run()
    for note in notes:
        assert any(note in line for line in report["notes"]), report["notes"]
    assert max(map(len, report["notes"])) < 120


@pytest.mark.parametrize("n_cells", [2, 5])
def test_a_handful_of_cells_is_labelled(project: Path, n_cells: int) -> None:
    configure(subset={"n_cells": n_cells, "by": "cell_type"})
    assert run()[0].n_obs == n_cells


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (np.array([1.0, 2.0, np.nan, 2.5], dtype=np.float32), ["1", "2", None, "2.5"]),
        (pd.array([1, None], dtype="Int64"), ["1", None]),
        ([True, False], ["True", "False"]),
        (pd.Categorical(["b", None, " a"], categories=["unused", "b", " a"]), ["b", None, "a"]),
        ([None, None], [None, None]),
    ],
)
def test_labels_of_any_type_become_text(values: Any, texts: list[str | None]) -> None:
    assert raw.as_text(pd.Series(values)).tolist() == texts


def test_small_classes_single_labels_and_patients_under_two_are_noted(project: Path) -> None:
    change(set_obs("celltype", ["rare"] * 3 + ["B", "T", "NK"] * 19))
    change(set_obs("condition", ["sick"] * 31 + ["well"] * 29))
    cells, report = run()
    assert "mine: cell_type: fewer than 10 evaluated cells of rare (3)\n" in invoke().output
    assert report["annotations"]["cell_type"]["smaller_than_min_class_size"] == ["rare"]
    assert (cells.obs["cell_type"] == "rare").sum() == 3
    assert report["patients"]["phenotype"]["patients_with_several_labels"] == ["0", "1", "2", "3", "4", "5"]
    change(set_obs("condition", "sick"))
    cells, report = run()
    assert "phenotype has one label only, so it is not scored" in report["notes"]
    assert set(cells.obs["phenotype"]) == {"sick"}

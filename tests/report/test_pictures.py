"""Pictures of scores: what they show, and that equal scores give equal bytes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, roc_auc_score

import stages.report
from genept.core import params as parameters
from genept.core.errors import InputError
from genept.report import pairs, pictures, significance
from tests.report import comparisons
from tests.report.made import BOUNDS, SCORED

DRAW = stages.report.draw
PNG = ("plots/differences/blood.png", "plots/differences/tumour.png", "plots/curves/blood.png")


def test_equal_scores_give_equal_pictures(project: Path) -> None:
    run = pairs.read(parameters.load())
    compared = {dataset: significance.read_comparisons(dataset) for dataset in run.records}
    found = []
    for _ in range(2):
        DRAW(run, compared)
        found.append(
            {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("plots/*/*.png")}
        )
    assert tuple(sorted(found[0])) == tuple(sorted(PNG)) and found[0] == found[1]


def test_a_matrix_has_the_difference_of_every_pair_and_no_colour_without_a_test(project: Path) -> None:
    run = pairs.read(parameters.load())
    by_title = {
        (dataset, matrix.title): matrix
        for dataset in ("blood", "tumour")
        for matrix in pictures.matrices(run, dataset, significance.read_comparisons(dataset))
    }
    matrix = by_title["blood", "Accuracy, random split"]
    assert matrix.models == [*SCORED, *BOUNDS]
    values = [0.1, 0.2, 0.3, 0.4, 0.35, 0.45, 0.02, 0.05, 0.6]
    expected = np.subtract.outer(values, values)
    off = ~np.eye(len(values), dtype=bool)
    np.testing.assert_allclose(matrix.values[off], expected[off], atol=1e-9)
    assert (matrix.stars == (np.abs(expected) > 0.081)).all()
    untested = by_title["tumour", "Accuracy, donors held out"]
    assert np.isnan(untested.values).all() and not untested.stars.any() and comparisons.NO_TEST in untested.note


def test_curves_are_of_the_rarer_class_or_of_all_against_the_rest(project: Path) -> None:
    run = pairs.read(parameters.load())
    for classes, title in ((["sick", "well"], "positive: sick"), (["a", "b", "c"], "mean of 3 classes against")):
        comparisons.write_probabilities("blood", "phenotype", [*SCORED[:-1], "majority", "random_cells"], classes)
        as_authors, standardised = pictures.curves(run, "blood")
        assert title in as_authors.title and "standardised" in standardised.title
        assert [curve.model for curve in as_authors.roc] == [*SCORED[:-1], "random_cells"]
        table = pd.read_csv("metrics/probabilities/blood/phenotype/text_w.csv")
        table = table[(table["task"] == "logreg") & (table["split"] == "random")]
        chosen = classes[:1] if len(classes) == 2 else classes
        areas = [roc_auc_score(table["actual"] == name, table[name]) for name in chosen]
        curve = next(curve for curve in as_authors.roc if curve.model == "text_w")
        assert abs(auc(curve.x, curve.y) - np.mean(areas)) < (1e-9 if len(classes) == 2 else 0.01)
        assert abs(as_authors.share - np.mean([(table["actual"] == name).mean() for name in chosen])) < 1e-9
        for line in as_authors.precision_recall:
            assert line.x[0] >= 0 and line.x[-1] == 1 and (np.diff(line.x) >= 0).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file; `dvc repro evaluate@blood` makes it"),
        (
            "a,b\n1,2\n",
            "not what evaluate writes (no column cell_id, task, split, actual); `dvc repro --force",
        ),
        ("", "not what evaluate writes (it is empty); `dvc repro --force"),
    ],
)
def test_missing_or_damaged_probabilities_are_one_line(project: Path, text: str | None, words: str) -> None:
    path = Path("metrics/probabilities/blood/phenotype/text_w.csv")
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}: {words}")):
        pictures.curves(pairs.read(parameters.load()), "blood")

"""Comparing predictions with labels, the logistic regression, and the rows that are written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from genept.metrics import classification, results
from genept.metrics.choices import LogregChoices

AUTHORS = LogregChoices(max_iter=100, C=1.0, standardise=False, labels=("phenotype",))


def test_scores_by_hand() -> None:
    report = classification.compare(np.array(list("aaab")), np.array(list("aabc")))
    # a: 2 of 2 calls right, 2 of 3 cells found; b: 0 of 1, 0 of 1; c: called once, no cell
    assert report.classes.tolist() == ["a", "b", "c"]
    assert report.precision.tolist() == [1, 0, 0]
    assert report.recall.tolist() == pytest.approx([2 / 3, 0, 0])
    assert report.f1.tolist() == pytest.approx([4 / 5, 0, 0])
    assert report.support.tolist() == [3, 1, 0]
    assert report.accuracy == 1 / 2
    assert report.macro("f1") == pytest.approx(4 / 15)
    assert report.weighted("f1") == pytest.approx(3 / 5)


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), min_size=1, max_size=40))
def test_scores_equal_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    actual, predicted = map(np.array, zip(*pairs, strict=True))
    report = classification.compare(actual, predicted)
    assert report.accuracy == pytest.approx(accuracy_score(actual, predicted))
    for average in ("macro", "weighted"):
        theirs = precision_recall_fscore_support(actual, predicted, average=average, zero_division=0)
        ours = [getattr(report, average)(metric) for metric in ("precision", "recall", "f1")]
        assert ours == pytest.approx(list(theirs[:3]))
    per_class = precision_recall_fscore_support(actual, predicted, zero_division=0)
    np.testing.assert_allclose((report.precision, report.recall, report.f1, report.support), per_class)


def cells(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.choice(["well", "mild", "severe"], size=n)
    return rng.normal(size=(n, 6)) + (labels == "severe")[:, None], labels


def test_logistic_regression_is_the_authors_call() -> None:
    matrix, labels = cells()
    found, converged = classification.logistic_regression(matrix[:90], labels[:90], matrix[90:], AUTHORS)
    assert (
        found.tolist() == LogisticRegression(max_iter=100).fit(matrix[:90], labels[:90]).predict(matrix[90:]).tolist()
    )
    assert converged


def test_a_regression_that_did_not_converge_is_said_not_warned(recwarn: pytest.WarningsRecorder) -> None:
    matrix, labels = cells()
    choices = LogregChoices(max_iter=1, C=1.0, standardise=False, labels=())
    assert classification.logistic_regression(matrix, labels, matrix, choices)[1] is False
    assert not recwarn.list


def test_standardising_makes_the_regression_independent_of_scale_and_shift() -> None:
    matrix, labels = cells()
    choices = LogregChoices(max_iter=500, C=1.0, standardise=True, labels=())
    other = matrix * np.array([1, 10, 100, 1, 0.1, 0.01]) + 3
    ours = classification.logistic_regression(matrix[:90], labels[:90], matrix[90:], choices)[0]
    assert classification.logistic_regression(other[:90], labels[:90], other[90:], choices)[0].tolist() == ours.tolist()


def test_headlines_are_rounded_in_their_own_order_and_only_those_that_exist() -> None:
    rows = [
        results.Row("knn", "cell_type", "f1_macro", 0.123456, 10, 2),
        results.Row("knn", "cell_type", "accuracy", 0.9, 10, 2),
        results.Row("knn", "cell_type", "accuracy", 0.1, 10, 2, label="T cell"),
        results.Row("kmeans", "patient", "ari", -0.00001, 10, 2),
    ]
    found = results.headlines(rows)
    assert json.dumps(found) == '{"cell_type_knn_accuracy": 0.9, "cell_type_knn_f1": 0.1235, "patient_ari": 0.0}'


def test_a_note_goes_to_all_rows_or_to_those_of_one_annotation() -> None:
    rows = [results.Row("knn", name, "accuracy", 1.0, 1, 1, note="a") for name in ("cell_type", "phenotype")]
    noted = results.Results(rows, np.array([]), np.array([])).with_note("").with_note("b").with_note("c", "phenotype")
    assert [row.note for row in noted.rows] == ["a; b", "a; b; c"]


def test_tables_have_the_same_line_ends_everywhere_and_quote_commas(tmp_path: Path) -> None:
    results.write_csv(tmp_path / "t.csv", ("actual", "predicted"), [("T cell, CD4", "B")])
    assert (tmp_path / "t.csv").read_bytes() == b'actual,predicted\n"T cell, CD4",B\n'

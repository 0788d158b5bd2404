"""The rows of a benchmark: by hand and against scikit-learn, headlines, notes, and a metric that is added."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from genept.core.params import Logreg
from genept.data.splits import Split
from genept.metrics import benchmark, classifiers, clustering, targets
from genept.metrics.results import Results, Row
from tests.metrics import blood

AUTHORS = Logreg(max_iter=100, C=1.0, standardise=False, labels=["phenotype"])


def target_of(actual: list[str], train: list[str]) -> targets.Target:
    rows = np.arange(len(actual) + len(train))
    split = Split(rows[len(actual) :], rows[: len(actual)])
    return targets.Target("cell_type", np.array([*actual, *train]), rows, split)


def values_of(rows: list[Row]) -> dict[tuple[str, str], float]:
    return {(row.label, row.metric): row.value for row in rows}


def test_predictions_by_hand() -> None:
    rows = benchmark.neighbour_rows(target_of(list("aaab"), list("abd")), np.array(list("aabc")))
    # a: 2 of 2 calls right, 2 of 3 cells found; b: 0 of 1, 0 of 1; c: called once, no cell; d: neither
    expected = {"accuracy": 1 / 2, "precision_macro": 1 / 3, "recall_macro": 2 / 9, "f1_macro": 4 / 15}
    by_class = {"a": (1, 2 / 3, 4 / 5, 3), "b": (0, 0, 0, 1), "c": (0, 0, 0, 0)}
    values = values_of(rows)
    assert {name: value for (label, name), value in values.items() if not label} == pytest.approx(expected)
    for label, scores in by_class.items():
        assert [values[label, name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(scores)
    weighted = values_of(
        benchmark.prediction_rows(target_of(list("aaab"), list("abd")), np.array(list("aabc")), "logreg")
    )
    averages = [weighted["", f"{name}_weighted"] for name in ("precision", "recall", "f1")]
    assert averages == pytest.approx([3 / 4, 1 / 2, 3 / 5])
    notes = {row.label: row.note for row in rows}
    assert notes == {"": "", "a": "", "b": "", "c": "no test cell", "d": "no test cell; not in the macro average"}


def test_clusters_are_compared_by_scikit_learn_over_all_seeds() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = rng.normal(size=(60, 3)), rng.choice(list("abc"), size=60)
    target = targets.Target("cell_type", labels, np.arange(60), Split(np.arange(40), np.arange(40, 60)))
    rows = benchmark.cluster_rows(target, matrix, np.arange(60), {}, blood.EVALUATE, 5)
    runs = clustering.kmeans(matrix, 3, blood.EVALUATE.kmeans, 5)
    assert len(runs) == blood.EVALUATE.kmeans.repeats
    for row, compare in zip(rows, (adjusted_rand_score, adjusted_mutual_info_score), strict=True):
        scores = [compare(labels, clusters) for clusters in runs]
        assert (row.value, row.sd) == pytest.approx((np.mean(scores), np.std(scores)))


def test_a_metric_is_one_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def share_of_first(matrix: np.ndarray, labels: np.ndarray) -> float:
        return float((labels == 0).mean() * matrix.shape[1])

    monkeypatch.setattr(benchmark, "METRICS", [*benchmark.METRICS, benchmark.Metric("mine", "share", share_of_first)])
    target = target_of(list("aabbab"), list("aaabbb"))
    scored = benchmark.score([target], [np.random.default_rng(0).normal(size=(12, 4))], blood.EVALUATE, 0)
    (row,) = [row for row in scored.rows if row.task == "mine"]
    assert (row.annotation, row.metric, row.value, row.n_cells) == ("cell_type", "share", 2.0, 12)


def test_logistic_regression_is_the_authors_call_and_can_be_standardised(recwarn: pytest.WarningsRecorder) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["well", "mild", "severe"], size=120)
    matrix = rng.normal(size=(120, 6)) + (labels == "severe")[:, None]

    def regress(matrix: np.ndarray, **changes: float) -> tuple[list[str], bool]:
        config = AUTHORS.model_copy(update=changes)
        predicted, converged = classifiers.regress(matrix[:90], labels[:90], matrix[90:], config)
        return predicted.tolist(), converged

    theirs = LogisticRegression(max_iter=100).fit(matrix[:90], labels[:90]).predict(matrix[90:])
    assert regress(matrix) == (theirs.tolist(), True)
    assert regress(matrix, max_iter=1)[1] is False and not recwarn.list
    other = matrix * np.array([1, 10, 100, 1, 0.1, 0.01]) + 3
    assert regress(matrix, standardise=True, max_iter=500) == regress(other, standardise=True, max_iter=500)


def test_headlines_are_rounded_in_their_own_order_and_only_those_that_exist() -> None:
    rows = [
        Row("knn", "cell_type", "f1_macro", 0.123456, 10, 2),
        Row("knn", "cell_type", "accuracy", 0.9, 10, 2),
        Row("knn", "cell_type", "accuracy", 0.1, 10, 2, label="T cell"),
        Row("kmeans", "patient", "ari", -0.00001, 10, 2),
    ]
    headlines = json.dumps(Results(rows, [], []).headlines)
    assert headlines == '{"cell_type_knn_accuracy": 0.9, "cell_type_knn_f1": 0.1235, "patient_ari": 0.0}'


def test_the_full_table_keeps_counts_whole_and_notes_go_to_all_rows_or_one_annotation() -> None:
    rows = [
        Row("knn", "cell_type", "support", 3, 5, 2, label="T cell, CD4", note="a"),
        Row("kmeans", "phenotype", "ari", 0.123456, 5, 2, sd=0.00004, note="a"),
    ]
    noted = Results(rows, [], []).with_note("").with_note("b").with_note("c", "phenotype")
    assert noted.table("blood", "one").to_csv(index=False, lineterminator="\n").splitlines() == [
        "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note,protocol",
        'blood,one,knn,cell_type,support,"T cell, CD4",3,,5,2,a; b,evaluate',
        "blood,one,kmeans,phenotype,ari,,0.1235,0.0,5,2,a; b; c,evaluate",
    ]

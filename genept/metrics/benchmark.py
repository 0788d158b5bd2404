"""Every score of an embedding. To add one, write a function and give it a line in `METRICS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    adjusted_mutual_info_score,
    adjusted_rand_score,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from threadpoolctl import threadpool_limits

from genept.core.params import Evaluate
from genept.metrics import classifiers, clustering
from genept.metrics.results import Results, Row
from genept.metrics.targets import Target


class Metric(NamedTuple):
    """A score and the task that it belongs to, both as in the full table; the task decides what it compares.

    ``kmeans``: function(labels, clusters), reported as mean and standard deviation over seeds. ``knn`` and ``logreg``:
    function(actual, predicted) of the test cells. Any other task: function(matrix, labels) of the labelled cells, or,
    with `together`, one call for all annotations: function(matrix, labelings) as `clustering.average_widths`.
    """

    task: str
    name: str
    function: Callable[..., Any]
    together: bool = False


def averaged(task: str, average: str) -> list[Metric]:
    """Return precision, recall and F1 as scikit-learn averages them; without a denominator each is 0."""
    functions = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return [
        Metric(task, f"{name}_{average}", partial(function, average=average, zero_division=0))
        for name, function in functions.items()
    ]


METRICS = [
    Metric("kmeans", "ari", adjusted_rand_score),
    Metric("kmeans", "ami", adjusted_mutual_info_score),
    Metric("silhouette", "asw", clustering.average_widths, together=True),
    Metric("knn", "accuracy", accuracy_score),
    *averaged("knn", "macro"),
    Metric("logreg", "accuracy", accuracy_score),
    *averaged("logreg", "weighted"),
    *averaged("logreg", "macro"),
]


def score(
    targets: Sequence[Target],
    matrices: Sequence[np.ndarray],
    evaluate: Evaluate,
    seed: int,
    unseen_only: bool = False,
) -> Results:
    """Score an embedding on every annotation: k-means, silhouette, nearest neighbours, logistic regression.

    Every matrix product runs on one thread, because the number of threads changes its last bits and, through them,
    k-means. Silhouettes and neighbours do several products at a time, whose shapes do not depend on the threads.

    `matrices` hold for each target the coordinates of all cells, shape (n_cells, n_dimensions), float64: the same array
    for all, or one for each split if a model is fitted to training cells. Of such a model only each split's test cells
    are clustered (`unseen_only`).
    """
    clustered = [target.split.test if unseen_only else target.cells for target in targets]
    with threadpool_limits(limits=1):
        embedding_values = compare_with_labels(targets, matrices, clustered)
        predicted = predict_by_neighbours(targets, matrices, evaluate)
        rows: list[Row] = []
        for target, matrix, cells, values, labels in zip(
            targets, matrices, clustered, embedding_values, predicted, strict=True
        ):
            if not target.from_reference:
                rows += cluster_rows(target, matrix, cells, values, evaluate, seed)
            rows += neighbour_rows(target, labels)
            if target.annotation in evaluate.logreg.labels and not target.from_reference:
                rows += logreg_rows(target, matrix, evaluate)
    return Results(rows, [target.actual for target in targets], predicted)


def score_ensemble(targets: Sequence[Target], members: Sequence[Results], evaluate: Evaluate) -> Results:
    """Score the vote of several models, given their scores on the same targets in the order of the tie rule."""
    votes = zip(*(member.predicted for member in members), strict=True)
    predicted = [classifiers.majority(np.stack(of_target), evaluate.ensemble_tie) for of_target in votes]
    rows = [row for target, labels in zip(targets, predicted, strict=True) for row in neighbour_rows(target, labels)]
    return Results(rows, [target.actual for target in targets], predicted)


def compare_with_labels(
    targets: Sequence[Target], matrices: Sequence[np.ndarray], clustered: Sequence[np.ndarray]
) -> list[dict[Metric, float]]:
    """Return, for each target, the metrics of a matrix and labels; none where each or no cell has its own class."""
    values: list[dict[Metric, float]] = [{} for _ in targets]
    by_matrix: dict[int, list[int]] = {}
    for number, (target, cells) in enumerate(zip(targets, clustered, strict=True)):
        if not target.from_reference and 1 < len(np.unique(target.labels[cells])) < len(cells):
            by_matrix.setdefault(id(matrices[number]), []).append(number)
    for numbers in by_matrix.values():
        matrix = matrices[numbers[0]]
        labelings = np.full((len(numbers), len(matrix)), -1)
        for codes, number in zip(labelings, numbers, strict=True):
            cells = clustered[number]
            codes[cells] = np.unique(targets[number].labels[cells], return_inverse=True)[1]
        for metric in (metric for metric in METRICS if metric.task not in ("kmeans", "knn", "logreg")):
            if metric.together:
                scores = metric.function(matrix, labelings)
            else:
                scores = [metric.function(matrix[codes >= 0], codes[codes >= 0]) for codes in labelings]
            for number, value in zip(numbers, scores, strict=True):
                values[number][metric] = value
    return values


def predict_by_neighbours(
    targets: Sequence[Target], matrices: Sequence[np.ndarray], evaluate: Evaluate
) -> list[np.ndarray]:
    """Predict the labels of each target's test cells; neighbours are searched once per split."""
    neighbours: dict[tuple[bytes, bytes], np.ndarray] = {}
    predicted = []
    for matrix, target in zip(matrices, targets, strict=True):
        train, test = target.split.train, target.split.test
        key = train.tobytes(), test.tobytes()
        if key not in neighbours:
            neighbours[key] = classifiers.nearest(matrix[train], matrix[test], evaluate.knn.k, evaluate.knn.metric)
        predicted.append(classifiers.vote(target.labels[train], neighbours[key]))
    return predicted


def cluster_rows(
    target: Target, matrix: np.ndarray, cells: np.ndarray, values: dict[Metric, float], evaluate: Evaluate, seed: int
) -> list[Row]:
    """Return the rows of Table 2: k-means clusters against labels (k = number of labels), and the silhouette width.

    As the authors do, patients are clustered on principal components; the silhouette is that of the whole embedding.
    """
    classes, codes = np.unique(target.labels[cells], return_inverse=True)
    size = len(cells), len(classes)
    if len(classes) < 2:
        note = "not scored: one class among the clustered cells"
        return [Row("labels", target.annotation, "n_classes", len(classes), *size, note=note)]
    points, notes = matrix[cells], []
    if target.annotation == "patient" and evaluate.kmeans.pca_for_patient:
        points = clustering.principal_components(points, evaluate.kmeans.pca_for_patient)
        notes.append(f"on {points.shape[1]} principal components")
    runs = clustering.kmeans(points, len(classes), evaluate.kmeans, seed)
    if any(len(np.unique(clusters)) < len(classes) for clusters in runs):
        notes.append("k-means found fewer clusters than classes")
    rows = []
    for metric in (metric for metric in METRICS if metric.task == "kmeans"):
        scores = np.array([metric.function(codes, clusters) for clusters in runs])
        spread = {"sd": scores.std(), "note": "; ".join(notes)}
        rows.append(Row("kmeans", target.annotation, metric.name, scores.mean(), *size, **spread))
    return rows + [Row(metric.task, target.annotation, metric.name, value, *size) for metric, value in values.items()]


def logreg_rows(target: Target, matrix: np.ndarray, evaluate: Evaluate) -> list[Row]:
    """Return the rows of Section 4.4's logistic regression."""
    split = target.split
    labels = target.labels[split.train]
    if len(np.unique(labels)) < 2:
        note = "no logistic regression: one class among the training cells"
        return [Row("labels", target.annotation, "n_classes", 1, len(labels), 1, note=note)]
    predicted, converged = classifiers.regress(matrix[split.train], labels, matrix[split.test], evaluate.logreg)
    rows = prediction_rows(target, predicted, "logreg")
    return rows if converged else [row._replace(note="not converged") for row in rows]


def neighbour_rows(target: Target, predicted: np.ndarray) -> list[Row]:
    """Return the rows of Table C4, with those of each class; task ``knn_reference`` for a query by the reference."""
    rows = [*prediction_rows(target, predicted, "knn"), *class_rows(target, predicted)]
    return [row._replace(task="knn_reference") for row in rows] if target.from_reference else rows


def prediction_rows(target: Target, predicted: np.ndarray, task: str) -> list[Row]:
    """Return a task's metrics of the labels predicted for the test cells."""
    actual = target.actual
    codes = np.unique([actual, predicted], return_inverse=True)[1].reshape(2, -1)
    size = len(actual), len(np.unique(actual))
    known = np.isin(actual, target.labels[target.split.train]).any()
    note = "" if known else "no class of the test cells is among the training cells"
    return [
        Row(task, target.annotation, metric.name, metric.function(*codes), *size, note=note)
        for metric in METRICS
        if metric.task == task
    ]


def class_rows(target: Target, predicted: np.ndarray) -> list[Row]:
    """Return precision, recall, F1 and support of each class that a test cell has or was given."""
    actual, known = target.actual, np.unique(target.labels[target.split.train])
    size = len(actual), len(np.unique(actual))
    classes = np.unique([actual, predicted])
    names = ("precision", "recall", "f1", "support")
    report = precision_recall_fscore_support(actual, predicted, labels=classes, zero_division=0)
    rows = []
    for label, *values in zip(classes, *report, strict=True):
        note = "no test cell" if values[-1] == 0 else "" if label in known else "no training cell"
        rows += [
            Row("knn", target.annotation, name, value, *size, label=label, note=note)
            for name, value in zip(names, values, strict=True)
        ]
    note = "no test cell; not in the macro average"
    absent = np.setdiff1d(known, classes)
    return rows + [Row("knn", target.annotation, "support", 0, *size, label=label, note=note) for label in absent]

"""The numbers of one annotation, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genept.metrics import classification, clustering
from genept.metrics.choices import Choices
from genept.metrics.results import Row
from genept.metrics.tasks import Task

COVERAGE = ("n_genes", "n_genes_missing", "n_cells_without_gene", "share_of_counts_missing")


def cluster_rows(task: Task, matrix: np.ndarray, cells: np.ndarray, width: float | None, choices: Choices) -> list[Row]:
    """Return the rows of Table 2: the mean agreement over k-means seeds, and the silhouette width.

    Patients are clustered on the first ``pca_for_patient`` principal components, as the authors do; the silhouette is
    always that of the whole embedding.
    """
    labels = task.labels[cells]
    n_classes = len(np.unique(labels))
    size = len(cells), n_classes
    if n_classes < 2:
        note = "not scored: one class among the clustered cells"
        return [Row("labels", task.annotation, "n_classes", n_classes, *size, note=note)]
    points, notes = matrix[cells], []
    if task.annotation == "patient" and choices.kmeans.pca_for_patient:
        points = clustering.principal_components(points, choices.kmeans.pca_for_patient)
        notes.append(f"on {points.shape[1]} principal components")
    runs, found_all = clustering.agreement(points, labels, choices.kmeans, choices.seed)
    if not found_all:
        notes.append("k-means found fewer clusters than classes")
    rows = [
        Row("kmeans", task.annotation, metric, values.mean(), *size, sd=values.std(), note="; ".join(notes))
        for metric, values in runs.items()
    ]
    if width is not None:
        rows.append(Row("silhouette", task.annotation, "asw", width, *size))
    return rows


def coverage_rows(notes: dict[str, Any]) -> list[Row]:
    """Return how much of the data set the model does not see, from the notes beside its embedding.

    Rows of kind ``embedding`` and of no annotation: ``n_genes``, ``n_genes_missing``, ``n_cells_without_gene`` and
    ``share_of_counts_missing`` (see `genept.data.expression.coverage`), those that the engine noted.
    """
    size = notes["n_cells"], 0
    return [Row("embedding", "", name, notes[name], *size) for name in COVERAGE if notes.get(name) is not None]


def neighbour_rows(task: Task, guess: np.ndarray) -> list[Row]:
    """Return the rows of Table C4; of kind ``knn_reference`` where the neighbours are cells of the reference."""
    kind = "knn_reference" if task.from_reference else "knn"
    return prediction_rows(task, guess, kind, ("macro",), per_class=True)


def logreg_rows(task: Task, matrix: np.ndarray, choices: Choices) -> list[Row]:
    """Return the rows of Section 4.4's logistic regression."""
    split = task.split
    labels = task.labels[split.train]
    if len(np.unique(labels)) < 2:
        note = "no logistic regression: one class among the training cells"
        return [Row("labels", task.annotation, "n_classes", 1, len(labels), 1, note=note)]
    guess, converged = classification.logistic_regression(
        matrix[split.train], labels, matrix[split.test], choices.logreg
    )
    rows = prediction_rows(task, guess, "logreg", ("weighted", "macro"))
    return rows if converged else [row._replace(note="not converged") for row in rows]


def prediction_rows(
    task: Task, guess: np.ndarray, kind: str, averages: Sequence[str], per_class: bool = False
) -> list[Row]:
    """Return accuracy, averaged precision, recall and F1 of predictions for the test cells, and those of each class."""
    actual, known = task.labels[task.split.test], set(task.labels[task.split.train])
    report = classification.compare(actual, guess)
    size = len(actual), len(np.unique(actual))
    note = "" if known & set(actual) else "no class of the test cells is among the training cells"
    rows = [Row(kind, task.annotation, "accuracy", report.accuracy, *size, note=note)]
    for average in averages:
        rows += [
            Row(kind, task.annotation, f"{metric}_{average}", getattr(report, average)(metric), *size, note=note)
            for metric in ("precision", "recall", "f1")
        ]
    if not per_class:
        return rows
    for index, label in enumerate(report.classes):
        note = "no test cell" if not report.support[index] else "" if label in known else "no training cell"
        rows += [
            Row(kind, task.annotation, metric, getattr(report, metric)[index], *size, label=label, note=note)
            for metric in ("precision", "recall", "f1", "support")
        ]
    note = "no test cell; not in the macro average"
    rows += [
        Row(kind, task.annotation, "support", 0, *size, label=label, note=note)
        for label in sorted(known - set(report.classes))
    ]
    return rows

"""All scores of one embedding, or of an ensemble, on one dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from stages.evaluate import classification, clustering, neighbours, silhouette
from stages.evaluate.choices import Choices
from stages.evaluate.results import Results, Row
from stages.evaluate.splits import Split
from stages.evaluate.tasks import REQUIRED, Task

Represent = Callable[[Split], np.ndarray]
"""Gives the coordinates of all cells, shape (n_cells, n_dimensions), that a split is scored with; the same object for
equal splits. An embedding ignores the split (`fixed`); a fine-tuned one is fitted on the split's training cells."""


def fixed(matrix: np.ndarray) -> Represent:
    """Represent cells by the same coordinates in every split."""
    return lambda split: matrix


def score(tasks: Sequence[Task], represent: Represent, choices: Choices, unseen_only: bool = False) -> Results:
    """Score an embedding on every task: k-means, silhouette, nearest neighbours, logistic regression.

    Runs on one thread, because the number of threads changes the last bits of a matrix product and, through them,
    k-means.

    Parameters
    ----------
    unseen_only
        Cluster only each split's test cells, as an embedding fitted on the training cells needs; else all cells that
        have a label.
    """
    matrices = [represent(task.split) for task in tasks]  # before the limit, which torch lifts after fitting a head
    with threadpool_limits(limits=1):
        clustered = [task.split.test if unseen_only else task.cells for task in tasks]
        widths = silhouettes(tasks, matrices, clustered)
        predicted = predictions(tasks, represent, choices)
        rows = []
        for task, matrix, cells, width, guess in zip(tasks, matrices, clustered, widths, predicted, strict=True):
            rows += cluster_rows(task, matrix, cells, width, choices)
            rows += prediction_rows(task, guess, "knn", ("macro",), per_class=True)
            if task.annotation in choices.logreg.labels:
                rows += logreg_rows(task, matrix, choices)
    return Results(rows, *confusion(tasks, predicted))


def score_ensemble(tasks: Sequence[Task], members: Sequence[np.ndarray], choices: Choices) -> Results:
    """Score the majority vote of several embeddings' nearest-neighbour predictions on the same splits.

    An ensemble of votes has no coordinates, so nothing is clustered.

    Parameters
    ----------
    members
        Embeddings of all cells, each of shape (n_cells, n_dimensions of its own), in the order of the tie rule.
    """
    with threadpool_limits(limits=1):
        votes = [predictions(tasks, fixed(matrix), choices) for matrix in members]
    predicted = [neighbours.majority(np.stack(of_task), choices.ensemble_tie) for of_task in zip(*votes, strict=True)]
    rows = [
        row
        for task, guess in zip(tasks, predicted, strict=True)
        for row in prediction_rows(task, guess, "knn", ("macro",), per_class=True)
    ]
    return Results(rows, *confusion(tasks, predicted))


def confusion(tasks: Sequence[Task], predicted: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted cell type of the test cells."""
    ((task, guess),) = [(task, guess) for task, guess in zip(tasks, predicted, strict=True) if is_required(task)]
    return task.labels[task.split.test], guess


def is_required(task: Task) -> bool:
    """Say whether a task is the one on cell types."""
    return task.annotation == REQUIRED


def silhouettes(
    tasks: Sequence[Task], matrices: Sequence[np.ndarray], clustered: Sequence[np.ndarray]
) -> list[float | None]:
    """Return each task's average silhouette width; None where it is undefined. One pass per matrix."""
    results: list[float | None] = [None] * len(tasks)
    defined: dict[int, list[int]] = {}
    for number, (task, matrix, cells) in enumerate(zip(tasks, matrices, clustered, strict=True)):
        if 1 < len(np.unique(task.labels[cells])) < len(cells):
            defined.setdefault(id(matrix), []).append(number)
    for numbers in defined.values():
        used = np.unique(np.concatenate([clustered[number] for number in numbers]))
        labelings = []
        for number in numbers:
            codes = np.full(len(used), -1)
            inside = np.searchsorted(used, clustered[number])
            codes[inside] = np.unique(tasks[number].labels[clustered[number]], return_inverse=True)[1]
            labelings.append(codes)
        widths = silhouette.average_widths(matrices[numbers[0]][used], labelings)
        for number, width in zip(numbers, widths, strict=True):
            results[number] = width
    return results


def predictions(tasks: Sequence[Task], represent: Represent, choices: Choices) -> list[np.ndarray]:
    """Predict the labels of each task's test cells from their nearest training cells, searched once per split."""
    found: dict[tuple[bytes, bytes], np.ndarray] = {}
    for split in (task.split for task in tasks):
        if split.key not in found:
            matrix = represent(split)
            found[split.key] = neighbours.nearest(matrix[split.train], matrix[split.test], choices.k, choices.metric)
    return [neighbours.vote(task.labels[task.split.train], found[task.split.key]) for task in tasks]


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


def logreg_rows(task: Task, matrix: np.ndarray, choices: Choices) -> list[Row]:
    """Return the rows of Section 4.4's logistic regression; none where the training cells have one class."""
    split = task.split
    labels = task.labels[split.train]
    if len(np.unique(labels)) < 2:
        return []
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

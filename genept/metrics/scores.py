"""All scores of one embedding, or of an ensemble, on one dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from genept.data.splits import Split
from genept.metrics import neighbours, silhouette
from genept.metrics.choices import Choices
from genept.metrics.results import Results
from genept.metrics.rows import cluster_rows, logreg_rows, neighbour_rows
from genept.metrics.tasks import REQUIRED, Task

Represent = Callable[[Split], np.ndarray]
"""Gives the coordinates of all cells, shape (n_cells, n_dimensions), that a split is scored with; the same object for
equal splits. An embedding ignores the split (`fixed`); a fine-tuned one is fitted on the split's training cells."""


def fixed(matrix: np.ndarray) -> Represent:
    """Represent cells by the same coordinates in every split."""
    return lambda split: matrix


def score(tasks: Sequence[Task], represent: Represent, choices: Choices, unseen_only: bool = False) -> Results:
    """Score an embedding on every task: k-means, silhouette, nearest neighbours, logistic regression.

    Every matrix product runs on one thread, because the number of threads changes its last bits and, through them,
    k-means. Silhouettes and neighbours do several products at a time, whose shapes do not depend on the threads.

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
            if task.from_reference:
                rows += neighbour_rows(task, guess)
                continue
            rows += cluster_rows(task, matrix, cells, width, choices)
            rows += neighbour_rows(task, guess)
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
    rows = [row for task, guess in zip(tasks, predicted, strict=True) for row in neighbour_rows(task, guess)]
    return Results(rows, *confusion(tasks, predicted))


def confusion(tasks: Sequence[Task], predicted: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted cell type of the test cells."""
    number = [task.annotation for task in tasks].index(REQUIRED)
    return tasks[number].labels[tasks[number].split.test], predicted[number]


def silhouettes(
    tasks: Sequence[Task], matrices: Sequence[np.ndarray], clustered: Sequence[np.ndarray]
) -> list[float | None]:
    """Return each task's average silhouette width; None where it is undefined. One pass per matrix."""
    results: list[float | None] = [None] * len(tasks)
    defined: dict[int, list[int]] = {}
    for number, (task, matrix, cells) in enumerate(zip(tasks, matrices, clustered, strict=True)):
        if not task.from_reference and 1 < len(np.unique(task.labels[cells])) < len(cells):
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

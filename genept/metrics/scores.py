"""Every score of an embedding. To add one, write a function and give it a line in `METRICS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from genept.metrics import agreement, clustering, counts, regression

AS_THEY_ARE, STANDARDISED = "logreg", "logreg_standardised"
REGRESSIONS = {AS_THEY_ARE: False, STANDARDISED: True}  # whether coordinates are standardised


class Metric(NamedTuple):
    """A score, the tasks that it belongs to, and its bounds; the task decides what it compares.

    ``kmeans``: function(labels, clusters) of two arrays of codes. ``knn``, ``logreg`` and ``logreg_standardised``:
    function(counts, min_test_cells) of `genept.metrics.counts.Counts`, for all runs at once; or, `of_probabilities`,
    function(labels, probabilities, weights) as `regression.auroc`. Any other task: function(matrix, labels) of the
    labelled cells or, with `together`, one call for all annotations, function(matrix, labelings, distance) as
    `clustering.average_widths`. Of a large dataset `of_many` does the same for some of the cells, and returns a value
    for each, as `clustering.widths_of_many`.
    """

    tasks: tuple[str, ...]
    name: str
    function: Callable[..., Any]
    bounds: tuple[float, float] = (0, 1)
    of_probabilities: bool = False
    over_classes: bool = False  # an average in which each class has the same weight
    together: bool = False
    of_many: Callable[..., list[np.ndarray]] | None = None


def averages(tasks: tuple[str, ...], over: counts.Average) -> list[Metric]:
    """Return an average over classes of precision, recall and F1."""
    is_equal = over != "weighted"
    return [
        Metric(tasks, f"{of}_{over}", partial(counts.average, of=of, over=over), over_classes=is_equal)
        for of in counts.OF_CLASS
    ]


KNN, LOGREG = ("knn",), tuple(REGRESSIONS)
METRICS = [
    Metric(("kmeans",), "ari", agreement.ari, (-0.5, 1)),
    Metric(("kmeans",), "ami", agreement.ami, (-1, 1)),
    Metric(
        ("silhouette",), "asw", clustering.average_widths, (-1, 1), together=True, of_many=clustering.widths_of_many
    ),
    Metric((*KNN, *LOGREG), "accuracy", counts.accuracy),
    Metric(
        (*KNN, *LOGREG), "balanced_accuracy", partial(counts.average, of="recall", over="balanced"), over_classes=True
    ),
    Metric(LOGREG, "auroc", regression.auroc, of_probabilities=True),
    *averages(LOGREG, "weighted"),
    *averages((*KNN, *LOGREG), "macro"),
    *averages(KNN, "frequent"),
]


def metrics_of(task: str) -> list[Metric]:
    """Return the metrics of a task."""
    return [metric for metric in METRICS if task in metric.tasks]


def of_embeddings() -> list[tuple[str, Metric]]:
    """Return the metrics that compare coordinates with labels, each with its task."""
    others = {"kmeans", "knn", *REGRESSIONS}
    return [(task, metric) for metric in METRICS for task in metric.tasks if task not in others]

"""Scoring an embedding on every annotation, and several embeddings together; `genept.metrics.rows` makes the rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genept.core.params import Evaluate
from genept.data.sampling import GROUPS, Order
from genept.metrics import clustering, neighbours, ranges
from genept.metrics.classifiers import count_runs, predict
from genept.metrics.embedding import Scored
from genept.metrics.minibatch import Run
from genept.metrics.results import Key, Results
from genept.metrics.rows import Drawn, Predictions, Spread, collect
from genept.metrics.scores import Metric, metrics_of, of_embeddings
from genept.metrics.targets import ALL, DONORS, RANDOM, Target, seeds

WITHOUT_SUBSETS = ("patient", "batch")  # not clustered on test cells alone: no table prints it


def score(
    targets: Sequence[Target], embedding: Scored, evaluate: Evaluate, seed: int, spread: Spread | None = None
) -> Results:
    """Score an embedding on every annotation: k-means, silhouettes, nearest neighbours, logistic regression.

    Every matrix product runs on one thread, because the number of threads changes its last bits and, through them,
    k-means. Silhouettes and neighbours do several products at a time, whose shapes do not depend on the threads.
    `spread` are the margins of `trainings.spread`, which widen the ranges of a model that is trained here.
    """
    with threadpool_limits(limits=1):
        predictions = predict(targets, embedding, evaluate)
        values = {**cluster(targets, embedding, evaluate, seed), **compare_coordinates(targets, embedding, evaluate)}
    return collect(targets, values, predictions, evaluate, seed, spread or {})


def cluster(targets: Sequence[Target], embedding: Scored, evaluate: Evaluate, seed: int) -> dict[Key, dict[str, Any]]:
    """Compare k-means clusters (k = number of labels) with the labels, of all cells and of test cells (Table 2).

    As the authors do, patients are clustered on principal components. Returns by key the values of each metric in each
    run, and the notes.
    """
    found: dict[Key, dict[str, Any]] = {}
    for target in targets:
        on_components = target.annotation == "patient" and evaluate.kmeans.pca_for_patient
        for kind in kinds_to_cluster(target, embedding):
            cells = cells_to_cluster(target, kind, evaluate)
            jobs = [*runs_to_cluster(target, cells, embedding, seed, on_components or None)]
            together: dict[int, list[int]] = defaultdict(list)
            for number, (_, codes) in enumerate(jobs):
                together[int(codes.max()) + 1].append(number)
            clusters: dict[int, np.ndarray] = {}
            for n_classes, numbers in together.items():
                runs = [jobs[number][0] for number in numbers]
                clusters |= zip(numbers, clustering.kmeans(runs, n_classes, evaluate.kmeans), strict=True)
            values: dict[str, list[float]] = defaultdict(list)
            notes: dict[str, None] = {}
            for number, (run, codes) in enumerate(jobs):
                if on_components:
                    notes[f"on {run.matrix.shape[1]} principal components"] = None
                if len(np.unique(clusters[number])) <= codes.max():
                    notes["k-means found fewer clusters than classes"] = None
                for metric in metrics_of("kmeans"):
                    values[metric.name].append(metric.function(codes, clusters[number]))
            found["kmeans", target.annotation, kind] = {"values": values, "notes": [*notes]}
            if target.order is not None:
                drawn = Drawn(cells[0], len(target.cells if kind == ALL else target.splits[RANDOM][0].all_test))
                if drawn.is_sample and jobs:
                    drawn = drawn._replace(
                        errors=errors_of_clusters(target.order, cells[0], jobs[0][1], clusters[0], drawn)
                    )
                found["kmeans", target.annotation, kind]["drawn"] = drawn
    return found


def cells_to_cluster(target: Target, kind: str, evaluate: Evaluate) -> list[np.ndarray]:
    """Return the cells of each run: all, or all test cells; of a large dataset at most `sample.training_cells`."""
    most = evaluate.sample.training_cells
    if kind == ALL:
        return [target.first_cells(target.cells, most)] * evaluate.repeats
    return [target.first_cells(split.all_test, most) for split in target.splits[RANDOM][: evaluate.repeats]]


def errors_of_clusters(
    order: Order, cells: np.ndarray, codes: np.ndarray, clusters: np.ndarray, drawn: Drawn
) -> dict[str, float | None]:
    """Return the standard errors of a clustering's agreement with labels, with the clusters as they are."""
    groups = order.groups(cells)
    errors = {}
    for metric in metrics_of("kmeans"):
        left_out = [metric.function(codes[groups != group], clusters[groups != group]) for group in range(GROUPS)]
        errors[metric.name] = ranges.standard_error(np.array(left_out), len(cells), drawn.n_all)
    return errors


def runs_to_cluster(
    target: Target, cells: Sequence[np.ndarray], embedding: Scored, seed: int, n_components: int | None
) -> Iterator[tuple[Run, np.ndarray]]:
    """Yield what each k-means clusters, and the classes of these cells, codes from 0 without gaps."""
    components: dict[object, tuple[np.ndarray, np.ndarray]] = {}
    for number, (one, rows) in enumerate(zip(seeds(seed, len(cells)), cells, strict=True)):
        split = target.splits[RANDOM][number]
        codes = np.unique(target.codes[rows], return_inverse=True)[1]
        if not 0 < codes.max(initial=0) < len(rows) - 1:
            continue
        if n_components is None and target.order is not None and embedding.unseen_only:  # one projection at a time
            yield Run(embedding.stored(split, number)[rows], np.arange(len(rows)), one), codes
            continue
        if n_components is None:
            yield Run(embedding.stored(split, number), rows, one), codes
            continue
        key = embedding.key(split, number), rows.tobytes()
        if key not in components:
            if target.order is None:
                points = clustering.principal_components(embedding.points(split, number)[rows], n_components)
            else:
                points = clustering.components_of_many(embedding.stored(split, number), rows, n_components)
            components[key] = points, np.arange(len(rows))
        yield Run(*components[key], one), codes


def kinds_to_cluster(target: Target, embedding: Scored) -> list[str]:
    """Return whether all cells are clustered, test cells alone, or both."""
    if embedding.unseen_only:
        return [RANDOM]
    return [ALL] if target.annotation in WITHOUT_SUBSETS else [ALL, RANDOM]


def compare_coordinates(targets: Sequence[Target], embedding: Scored, evaluate: Evaluate) -> dict[Key, dict[str, Any]]:
    """Compare coordinates with all annotations, as silhouettes do: of all cells, and of each run's test cells.

    Those of all cells have one run for each draw that is scored whole. Returns by key the values of each metric in each
    run, and no notes. Of a large dataset, `Metric.of_many` takes the place of a metric, if it has one.
    """
    found: dict[Key, dict[str, Any]] = {}
    for kind in [RANDOM] if embedding.unseen_only else [ALL, RANDOM]:
        for run in embedding.whole_draws if kind == ALL else range(evaluate.repeats):
            by_matrix: dict[bytes, list[tuple[Target, np.ndarray]]] = defaultdict(list)
            for target in targets:
                if kind not in kinds_to_cluster(target, embedding):
                    continue
                cells = target.cells if kind == ALL else target.splits[RANDOM][run].all_test
                if 1 < len(np.unique(target.codes[cells])) < len(cells):
                    key = target.splits[RANDOM][run].train.tobytes() if embedding.unseen_only else b""
                    by_matrix[key].append((target, cells))
            for group in by_matrix.values():
                coordinates = embedding.points if group[0][0].order is None else embedding.stored
                matrix = coordinates(group[0][0].splits[RANDOM][run if kind == RANDOM else 0], run)
                labelings = np.full((len(group), len(matrix)), -1)
                for codes, (target, cells) in zip(labelings, group, strict=True):
                    codes[cells] = np.unique(target.codes[cells], return_inverse=True)[1]
                for task, metric in of_embeddings():
                    entries: list[dict[str, Any]] = [
                        found.setdefault((task, target.annotation, kind), {"values": {}, "notes": []})
                        for target, _ in group
                    ]
                    if metric.of_many and group[0][0].order is not None:
                        add_of_many(entries, metric, group, matrix, labelings, evaluate)
                        continue
                    if metric.together:
                        values = metric.function(matrix, labelings, evaluate.asw or evaluate.metric)
                    else:
                        values = [metric.function(matrix[codes >= 0], codes[codes >= 0]) for codes in labelings]
                    for entry, value in zip(entries, values, strict=True):
                        entry["values"].setdefault(metric.name, []).append(value)
    return found


@dataclass
class Anchors:
    """The widths of cells that are drawn from all, added up over runs."""

    cells: np.ndarray
    n_all: int
    total: np.ndarray
    n_runs: np.ndarray

    def add(self, drawn: np.ndarray, widths: np.ndarray) -> None:
        """Add the widths of those of the cells that a run has."""
        places = np.searchsorted(self.cells, drawn)
        self.total[places] += widths
        self.n_runs[places] += 1

    @property
    def error(self) -> float:
        """The standard error of their mean, of each one's mean over runs, since the runs share them."""
        means = (self.total / np.maximum(self.n_runs, 1))[self.n_runs > 0]
        return float(means.std(ddof=1)) * math.sqrt((1 - len(means) / self.n_all) / len(means))


def add_of_many(
    entries: Sequence[dict[str, Any]],
    metric: Metric,
    group: Sequence[tuple[Target, np.ndarray]],
    matrix: np.ndarray,
    labelings: np.ndarray,
    evaluate: Evaluate,
) -> None:
    """Add the values of a run on a large dataset to the entry of each annotation, and the cells that they are of."""
    assert metric.of_many is not None
    all_anchors = [target.first_cells(target.cells, evaluate.sample.anchors) for target, _ in group]
    drawn = [np.intersect1d(own, cells, assume_unique=True) for own, (_, cells) in zip(all_anchors, group, strict=True)]
    found = metric.of_many(matrix, labelings, drawn, evaluate.asw or evaluate.metric)
    for entry, anchors, own, values, (target, cells) in zip(entries, all_anchors, drawn, found, group, strict=True):
        entry["values"].setdefault(metric.name, []).append(float(values.mean()))
        if len(values) == len(cells):  # of all
            entry.setdefault("drawn", Drawn(cells, len(cells)))
            continue
        size = np.zeros(len(anchors))
        sums = entry.setdefault("anchors", Anchors(anchors, len(target.cells), size, size.copy()))
        sums.add(own, values)
        first = entry.get("drawn", Drawn(own, len(cells)))
        entry["drawn"] = first._replace(errors={metric.name: sums.error})


def score_ensemble(
    targets: Sequence[Target], members: Sequence[Results], evaluate: Evaluate, seed: int, spread: Spread | None = None
) -> Results:
    """Score several models together, given their scores on the same targets in the order of `grid.ensemble`."""
    found = Predictions({}, {}, {}, {}, {}, {})
    for target in targets:
        for kind, divisions in target.splits.items():
            name = target.annotation
            near = zip(*(member.neighbours[name, kind] for member in members), strict=True)
            votes = zip(*(member.predicted[name, kind] for member in members), strict=True)
            if evaluate.ensemble == "pooled":
                given = [neighbours.pool(list(of_split), evaluate.knn.tie) for of_split in near]
            else:
                given = [neighbours.majority(np.stack(of_split), evaluate.vote_tie) for of_split in votes]
            found.predicted[name, kind] = given
            tests = [split.test for split in divisions]
            if kind == DONORS:
                tests, given = [np.concatenate(tests)], [np.concatenate(given)]
            count_runs(found, target, ("knn", name, kind), list(zip(tests, given, strict=True)))
    return collect(targets, {}, found, evaluate, seed, spread or {})

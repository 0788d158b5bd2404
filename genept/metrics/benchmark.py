"""Scoring an embedding on every annotation, and several embeddings together; `genept.metrics.rows` makes the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genept.core.params import Evaluate
from genept.metrics import clustering, counts, neighbours
from genept.metrics.classifiers import count_cells, predict, prediction_notes
from genept.metrics.embedding import Scored
from genept.metrics.minibatch import Run
from genept.metrics.results import Key, Results
from genept.metrics.rows import Predictions, Spread, collect
from genept.metrics.scores import metrics_of, of_embeddings
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
            jobs = [*runs_to_cluster(target, kind, embedding, evaluate.repeats, seed, on_components or None)]
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
    return found


def runs_to_cluster(
    target: Target, kind: str, embedding: Scored, repeats: int, seed: int, n_components: int | None
) -> Iterator[tuple[Run, np.ndarray]]:
    """Yield what each k-means clusters, and the classes of these cells, codes from 0 without gaps."""
    components: dict[object, tuple[np.ndarray, np.ndarray]] = {}
    for number, one in enumerate(seeds(seed, repeats)):
        split = target.splits[RANDOM][number]
        rows = target.cells if kind == ALL else split.test
        codes = np.unique(target.codes[rows], return_inverse=True)[1]
        if not 0 < codes.max(initial=0) < len(rows) - 1:
            continue
        if n_components is None:
            yield Run(embedding.stored(split, number), rows, one), codes
            continue
        key = embedding.key(split, number), rows.tobytes()
        if key not in components:
            points = clustering.principal_components(embedding.points(split, number)[rows], n_components)
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
    run, and no notes.
    """
    found: dict[Key, dict[str, Any]] = {}
    for kind in [RANDOM] if embedding.unseen_only else [ALL, RANDOM]:
        for run in embedding.whole_draws if kind == ALL else range(evaluate.repeats):
            by_matrix: dict[bytes, list[tuple[Target, np.ndarray]]] = defaultdict(list)
            for target in targets:
                if kind not in kinds_to_cluster(target, embedding):
                    continue
                cells = target.cells if kind == ALL else target.splits[RANDOM][run].test
                if 1 < len(np.unique(target.codes[cells])) < len(cells):
                    key = target.splits[RANDOM][run].train.tobytes() if embedding.unseen_only else b""
                    by_matrix[key].append((target, cells))
            for group in by_matrix.values():
                matrix = embedding.points(group[0][0].splits[RANDOM][run if kind == RANDOM else 0], run)
                labelings = np.full((len(group), len(matrix)), -1)
                for codes, (target, cells) in zip(labelings, group, strict=True):
                    codes[cells] = np.unique(target.codes[cells], return_inverse=True)[1]
                for task, metric in of_embeddings():
                    if metric.together:
                        values = metric.function(matrix, labelings, evaluate.asw or evaluate.metric)
                    else:
                        values = [metric.function(matrix[codes >= 0], codes[codes >= 0]) for codes in labelings]
                    for (target, _), value in zip(group, values, strict=True):
                        entry = found.setdefault((task, target.annotation, kind), {"values": {}, "notes": []})
                        entry["values"].setdefault(metric.name, []).append(value)
    return found


def score_ensemble(
    targets: Sequence[Target], members: Sequence[Results], evaluate: Evaluate, seed: int, spread: Spread | None = None
) -> Results:
    """Score several models together, given their scores on the same targets in the order of `grid.ensemble`."""
    found = Predictions({}, {}, {}, {}, {})
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
            runs = [count_cells(target, kind, t, g) for t, g in zip(tests, given, strict=True)]
            key = ("knn", name, kind)
            found.counts[key] = counts.stack(runs)
            found.notes[key] = prediction_notes(target, key, found.counts[key], 0)
    return collect(targets, {}, found, evaluate, seed, spread or {})

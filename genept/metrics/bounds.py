"""What scores lie between: floors, which know nothing, and what supervision reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genept.core.params import MAJORITY, RANDOM_CELLS, Evaluate
from genept.metrics import classifiers, regression
from genept.metrics.embedding import Embedding
from genept.metrics.regression import Fit
from genept.metrics.results import Key, Results, Row
from genept.metrics.rows import Predictions, collect
from genept.metrics.scores import REGRESSIONS, metrics_of
from genept.metrics.targets import ALL, DONORS, RANDOM, REFERENCE, Target

N_DRAWS, N_DIMENSIONS = 10, 50  # of random cell vectors


def majority(targets: Sequence[Target], evaluate: Evaluate, seed: int) -> Results:
    """Score the classifier that always answers the most frequent label of the training cells, and one cluster."""
    answers: dict[tuple[str, str, int], np.ndarray] = {}
    for target in targets:
        for kind, divisions in target.splits.items():
            for number, split in enumerate(divisions):
                shares = np.bincount(target.codes[split.train], minlength=len(target.classes)) / len(split.train)
                answers[target.annotation, kind, number] = np.tile(shares, (len(split.test), 1))
    return classified(targets, answers, ["knn", *REGRESSIONS], evaluate, seed, 0.0, "")


def random_cells(n_cells: int, seed: int) -> np.ndarray:
    """Draw cells that are random points, `N_DRAWS` times: shape (N_DRAWS, n_cells, N_DIMENSIONS), float32."""
    return np.random.default_rng(seed).standard_normal((N_DRAWS, n_cells, N_DIMENSIONS), dtype=np.float32)


def supervised(targets: Sequence[Target], baseline: Embedding, name: str, evaluate: Evaluate, seed: int) -> Results:
    """Score what supervision reaches: a logistic regression on the baseline, in the place of nearest neighbours.

    Of cell types, which no other row learns; those of a phenotype are the baseline's own. It is no ceiling: with donors
    held out, it may learn the donors, and score below the neighbours.
    """
    target = targets[0]
    answers: dict[tuple[str, str, int], np.ndarray] = {}
    for kind, divisions in target.splits.items():
        size, points = len(target.classes), baseline.points(None, 0) if target.order is None else baseline.draws[0]
        said = regression.regress(points, target.codes, size, [Fit(split) for split in divisions], evaluate.logreg)
        answers |= {(target.annotation, kind, number): one.probabilities for number, one in enumerate(said)}
    return classified(targets, answers, ["knn"], evaluate, seed, None, f"a logistic regression on `{name}`")


def classified(
    targets: Sequence[Target],
    answers: Mapping[tuple[str, str, int], np.ndarray],
    tasks: Sequence[str],
    evaluate: Evaluate,
    seed: int,
    clusters: float | None,
    note: str,
) -> Results:
    """Make results of probabilities by annotation, kind of split and number; `clusters` is the score of clusterings."""
    found = Predictions({}, {}, {}, {}, {}, {})
    embedded: dict[Key, dict[str, Any]] = {}
    for target in targets:
        for kind in (ALL, RANDOM) if clusters is not None else ():
            values = {metric.name: [clusters] for metric in metrics_of("kmeans")}
            embedded["kmeans", target.annotation, kind] = {"values": values, "notes": []}
        for kind, divisions in target.splits.items():
            if (target.annotation, kind, 0) not in answers:
                continue
            said = [answers[target.annotation, kind, number] for number in range(len(divisions))]
            given = [probabilities.argmax(axis=1) for probabilities in said]
            found.predicted[target.annotation, kind] = given
            tests = [split.test for split in divisions]
            if kind == DONORS:
                tests, given = [np.concatenate(tests)], [np.concatenate(given)]
            for task in tasks:
                if task in REGRESSIONS and (target.annotation not in evaluate.logreg.labels or kind == REFERENCE):
                    continue
                key: Key = (task, target.annotation, kind)
                classifiers.count_runs(found, target, key, list(zip(tests, given, strict=True)))
                found.notes[key] += filter(None, [note])
                if task in REGRESSIONS:
                    found.probabilities[key] = said
    return collect(targets, embedded, found, evaluate, seed, {})


def scale(results: Mapping[str, Results]) -> dict[str, Results]:
    """Add to every row its value between floor, 0, and the label itself, 1, which every metric gives 1; clipped.

    The floor is the higher of `majority` and `random_cells`. Benchmarks such as openproblems scale by their controls,
    too; ours are of the same cells and splits as the score.
    """
    floors: dict[tuple[str, ...], float] = {}
    for row in (row for name in (MAJORITY, RANDOM_CELLS) for row in results[name].rows if not row.label):
        constant = 1 / row.n_classes if row.metric == "balanced_accuracy" else -1.0  # whatever the folds' shares
        floors[key_of(row)] = max(row.value, floors.get(key_of(row), row.value), constant)

    def scaled(row: Row) -> Row:
        floor = floors.get(key_of(row))
        if row.label or floor is None or floor >= 1:
            return row
        return row._replace(scaled=float(np.clip((row.value - floor) / (1 - floor), 0, 1)))

    return {name: result.with_rows(map(scaled, result.rows)) for name, result in results.items()}


def key_of(row: Row) -> tuple[str, str, str, str]:
    """Return what a row is a score of."""
    return row.task, row.annotation, row.split, row.metric

"""What scores lie between: floors, which need no data, and a ceiling, which knows the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genept.core.params import CEILING, MAJORITY, RANDOM_CELLS, Evaluate
from genept.metrics import benchmark, counts, regression
from genept.metrics.counts import Counts
from genept.metrics.embedding import Embedding
from genept.metrics.results import Key, Results, Row
from genept.metrics.rows import Predictions, collect
from genept.metrics.scores import REGRESSIONS
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
    return classified(targets, answers, ["knn", *REGRESSIONS], evaluate, seed, clusters=0.0, asw=None, note="")


def random_cells(n_cells: int, seed: int) -> np.ndarray:
    """Draw cells that are random points, `N_DRAWS` times: shape (N_DRAWS, n_cells, N_DIMENSIONS), float32."""
    return np.random.default_rng(seed).standard_normal((N_DRAWS, n_cells, N_DIMENSIONS), dtype=np.float32)


def ceiling(targets: Sequence[Target], baseline: Embedding, name: str, evaluate: Evaluate, seed: int) -> Results:
    """Score what supervision reaches: a logistic regression on the baseline's standardised coordinates.

    It takes the place of nearest neighbours, for cell types, and of the logistic regressions. Clusters and silhouettes
    are those of the label itself, 1.
    """
    answers: dict[tuple[str, str, int], np.ndarray] = {}
    supervised = [t for t in targets if t is targets[0] or t.annotation in evaluate.logreg.labels]
    for target in supervised:
        for kind, divisions in target.splits.items():
            size, points = len(target.classes), baseline.points(None, 0)
            said = regression.regress(points, target.codes, size, divisions, evaluate.logreg, standardise=True)
            answers |= {(target.annotation, kind, number): one.probabilities for number, one in enumerate(said)}
    note = f"a logistic regression on `{name}`, standardised"
    return classified(targets, answers, ["knn", *REGRESSIONS], evaluate, seed, clusters=1.0, asw=1.0, note=note)


def classified(
    targets: Sequence[Target],
    answers: Mapping[tuple[str, str, int], np.ndarray],
    tasks: Sequence[str],
    evaluate: Evaluate,
    seed: int,
    clusters: float,
    asw: float | None,
    note: str,
) -> Results:
    """Make results of given probabilities, by annotation, kind of split and number, and of constant cluster scores."""
    found = Predictions({}, {}, {}, {}, {})
    embedded: dict[Key, dict[str, Any]] = {}
    own = ["the label itself"] if clusters else []
    for target in targets:
        for kind in (ALL, RANDOM):
            values = {"ari": [clusters], "ami": [clusters]}
            embedded["kmeans", target.annotation, kind] = {"values": values, "notes": own}
            if asw is not None:
                embedded["silhouette", target.annotation, kind] = {"values": {"asw": [asw]}, "notes": own}
        for kind, divisions in target.splits.items():
            if (target.annotation, kind, 0) not in answers:
                continue
            said = [answers[target.annotation, kind, number] for number in range(len(divisions))]
            given = [probabilities.argmax(axis=1) for probabilities in said]
            found.predicted[target.annotation, kind] = given
            tests = [split.test for split in divisions]
            if kind == DONORS:
                tests, given = [np.concatenate(tests)], [np.concatenate(given)]
            counted: Counts = counts.stack(
                [
                    benchmark.count_cells(target, kind, test, target.codes[test], codes)
                    for test, codes in zip(tests, given, strict=True)
                ]
            )
            for task in tasks:
                if task in REGRESSIONS and (target.annotation not in evaluate.logreg.labels or kind == REFERENCE):
                    continue
                key: Key = (task, target.annotation, kind)
                found.counts[key] = counted
                found.notes[key] = [*benchmark.prediction_notes(target, key, counted, 0), *filter(None, [note])]
                if task in REGRESSIONS:
                    found.probabilities[key] = said
    return collect(targets, embedded, found, evaluate, seed, {})


def scale(results: Mapping[str, Results]) -> dict[str, Results]:
    """Add to every row its value between floor, 0, and ceiling, 1, clipped; none where the ceiling is not higher.

    The floor is the higher of `majority` and `random_cells`. Benchmarks such as openproblems scale by their controls,
    too; ours are of the same cells and splits as the score.
    """

    def values(model: str) -> dict[tuple[str, ...], float]:
        return {key_of(row): row.value for row in results[model].rows if not row.label}

    lowest, random, highest = values(MAJORITY), values(RANDOM_CELLS), values(CEILING)
    floors = {key: max(lowest.get(key, -np.inf), random.get(key, -np.inf)) for key in lowest | random}

    def scaled(row: Row) -> Row:
        key = key_of(row)
        floor, top = floors.get(key), highest.get(key)
        if row.label or floor is None or top is None or top <= floor:
            return row
        return row._replace(scaled=float(np.clip((row.value - floor) / (top - floor), 0, 1)))

    return {name: result.with_rows(map(scaled, result.rows)) for name, result in results.items()}


def key_of(row: Row) -> tuple[str, str, str, str]:
    """Return what a row is a score of."""
    return row.task, row.annotation, row.split, row.metric

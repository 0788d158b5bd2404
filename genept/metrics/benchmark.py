"""Scoring an embedding on every annotation, and several embeddings together; `genept.metrics.rows` makes the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genept.core.params import Evaluate
from genept.metrics import clustering, counts, neighbours, regression
from genept.metrics.counts import Counts
from genept.metrics.embedding import Scored
from genept.metrics.results import Key, Results
from genept.metrics.rows import Predictions, Spread, collect
from genept.metrics.scores import REGRESSIONS, metrics_of, of_embeddings
from genept.metrics.targets import ALL, DONORS, RANDOM, REFERENCE, Target, seeds

WITHOUT_SUBSETS = ("patient", "batch")  # not clustered on test cells alone: no table prints it


def score(
    targets: Sequence[Target], embedding: Scored, evaluate: Evaluate, seed: int, spread: Spread | None = None
) -> Results:
    """Score an embedding on every annotation: k-means, silhouettes, nearest neighbours, logistic regression.

    Every matrix product runs on one thread, because the number of threads changes its last bits and, through them,
    k-means. Silhouettes and neighbours do several products at a time, whose shapes do not depend on the threads.
    `spread` are standard deviations between trainings, which widen the ranges of a model that is trained here.
    """
    with threadpool_limits(limits=1):
        predictions = predict(targets, embedding, evaluate)
        values = {**cluster(targets, embedding, evaluate, seed), **compare_coordinates(targets, embedding, evaluate)}
    return collect(targets, values, predictions, evaluate, seed, spread or {})


def predict(targets: Sequence[Target], embedding: Scored, evaluate: Evaluate) -> Predictions:
    """Predict the labels of each division's test cells; divisions with the same number follow each other."""
    found = Predictions({}, defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
    parts: dict[tuple[Key, int], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    n_unfinished: dict[Key, int] = defaultdict(int)
    for kind in (RANDOM, DONORS, REFERENCE):
        divided = [target for target in targets if kind in target.splits]
        for number in range(max((len(target.splits[kind]) for target in divided), default=0)):
            for target in (target for target in divided if number < len(target.splits[kind])):
                split = target.splits[kind][number]
                name: str = target.annotation
                actual = target.codes[split.test]
                for run in embedding.whole_draws if kind == DONORS else [number]:
                    near = target.codes[embedding.nearest(split, run, evaluate.knn.k, evaluate.metric)]
                    given = neighbours.vote(near, evaluate.knn.tie)
                    parts[("knn", name, kind), run].append((split.test, actual, given))
                    if kind != DONORS or run == 0:
                        found.neighbours[name, kind].append(near)
                        found.predicted[name, kind].append(given)
    for target in (target for target in targets if target.annotation in evaluate.logreg.labels):
        for kind in (kind for kind in (RANDOM, DONORS) if kind in target.splits):
            divisions = target.splits[kind]
            for task, standardise in REGRESSIONS.items():
                key = (task, target.annotation, kind)
                found.probabilities[key] = said = []
                for draw in embedding.whole_draws if kind == DONORS else [None]:
                    predicted = regressions(target, kind, embedding, evaluate, standardise, draw)
                    for number, (split, prediction) in enumerate(zip(divisions, predicted, strict=True)):
                        run = number if draw is None else draw
                        parts[key, run].append((split.test, target.codes[split.test], prediction.codes))
                        n_unfinished[key] += not prediction.converged and not draw
                        if not draw:  # AUROC and the curves are of a control's first draw
                            said.append(prediction.probabilities)
    by_name = {target.annotation: target for target in targets}
    runs: dict[Key, list[Counts]] = defaultdict(list)
    for (key, _), of_run in parts.items():
        cells, actual, given = map(np.concatenate, zip(*of_run, strict=True))
        runs[key].append(count_cells(by_name[key[1]], key[2], cells, actual, given))
    for key, of_runs in runs.items():
        target, counted = by_name[key[1]], counts.stack(of_runs)
        found.counts[key] = counted
        found.notes[key] = prediction_notes(target, key, counted, n_unfinished[key])
    return found


def regressions(
    target: Target, kind: str, embedding: Scored, evaluate: Evaluate, standardise: bool, draw: int | None
) -> list[regression.Prediction]:
    """Regress on the coordinates of each division, those with the same coordinates together.

    The coordinates are those of one draw or, if it is None, of the draw whose turn it is.
    """
    together: dict[int, list[int]] = defaultdict(list)
    divisions = target.splits[kind]
    for number in range(len(divisions)):
        turn = number % embedding.n_draws if draw is None else draw
        together[number if embedding.unseen_only else turn].append(number)
    found: dict[int, regression.Prediction] = {}
    for key, numbers in together.items():
        own = [divisions[number] for number in numbers]
        points = embedding.points(own[0], key if draw is None else draw)
        size = len(target.classes)
        said = regression.regress(points, target.codes, size, own, evaluate.logreg, standardise)
        found |= dict(zip(numbers, said, strict=True))
    return [found[number] for number in range(len(divisions))]


def count_cells(target: Target, kind: str, cells: np.ndarray, actual: np.ndarray, given: np.ndarray) -> Counts:
    """Count the predictions of a run, by donor if donors are held out."""
    donors = None
    if kind == DONORS and target.donors is not None:
        donors = np.unique(target.donors.codes[cells], return_inverse=True)[1]
    return counts.count(actual, given, len(target.classes), donors)


def prediction_notes(target: Target, key: Key, counted: Counts, n_unfinished: int) -> list[str]:
    """Say what a reader of a task's scores should know."""
    kind = key[2]
    notes = [target.notes.get(kind, "")]
    given = np.flatnonzero(counted.predicted.reshape(-1, len(target.classes)).sum(axis=0))
    if len(given) == 1:
        notes.append(f"predicts one class: {target.classes[given[0]]}")
    divisions = target.splits[kind]
    if not any(np.isin(target.codes[one.test], target.codes[one.train]).any() for one in divisions):
        notes.append("no label of the test cells is among the training cells")
    if n_unfinished:
        often = "" if n_unfinished == len(divisions) else f" in {n_unfinished} of {len(divisions)} fits"
        notes.append(f"solver not converged{often}")
    return [note for note in notes if note]


def cluster(targets: Sequence[Target], embedding: Scored, evaluate: Evaluate, seed: int) -> dict[Key, dict[str, Any]]:
    """Compare k-means clusters (k = number of labels) with the labels, of all cells and of test cells (Table 2).

    As the authors do, patients are clustered on principal components. Returns by key the values of each metric in each
    run, and the notes.
    """
    found: dict[Key, dict[str, Any]] = {}
    for target in targets:
        components: dict[int, np.ndarray] = {}
        on_components = target.annotation == "patient" and evaluate.kmeans.pca_for_patient
        for kind in kinds_to_cluster(target, embedding):
            values: dict[str, list[float]] = defaultdict(list)
            notes: dict[str, None] = {}
            for run, one in enumerate(seeds(seed, evaluate.repeats)):
                split = target.splits[RANDOM][run]
                cells = target.cells if kind == ALL else split.test
                classes, codes = np.unique(target.codes[cells], return_inverse=True)
                if not 1 < len(classes) < len(cells):
                    continue
                draw = run % embedding.n_draws
                if on_components and (kind == RANDOM or draw not in components):
                    points = clustering.principal_components(embedding.points(split, run)[cells], int(on_components))
                    components[draw] = points
                points = components[draw] if on_components else embedding.points(split, run)[cells]
                clusters = clustering.kmeans(points, len(classes), evaluate.kmeans, one)
                if on_components:
                    notes[f"on {points.shape[1]} principal components"] = None
                if len(np.unique(clusters)) < len(classes):
                    notes["k-means found fewer clusters than classes"] = None
                for metric in metrics_of("kmeans"):
                    values[metric.name].append(metric.function(codes, clusters))
            found["kmeans", target.annotation, kind] = {"values": values, "notes": [*notes]}
    return found


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
            runs = [count_cells(target, kind, t, target.codes[t], g) for t, g in zip(tests, given, strict=True)]
            key = ("knn", name, kind)
            found.counts[key] = counts.stack(runs)
            found.notes[key] = prediction_notes(target, key, found.counts[key], 0)
    return collect(targets, {}, found, evaluate, seed, spread or {})

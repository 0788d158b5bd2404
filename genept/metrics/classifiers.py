"""The classes of test cells by nearest neighbours and by logistic regressions, in each division of the cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genept.core.params import Evaluate
from genept.data.sampling import GROUPS
from genept.metrics import counts, neighbours, regression
from genept.metrics.counts import Counts
from genept.metrics.embedding import Scored
from genept.metrics.regression import Fit, Prediction
from genept.metrics.results import Key, Results
from genept.metrics.rows import Predictions
from genept.metrics.scores import REGRESSIONS
from genept.metrics.targets import DONORS, RANDOM, REFERENCE, Target


class Regression(NamedTuple):
    """What a logistic regression says of one division in one run."""

    task: str
    kind: str
    run: int
    number: int  # of the division
    said: Prediction


def predict(targets: Sequence[Target], embedding: Scored, evaluate: Evaluate) -> Predictions:
    """Predict the labels of each division's test cells; AUROC and curves are of a control's first draw."""
    found = Predictions({}, defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list), {})
    given: dict[tuple[Key, int], list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)  # test cells, their classes
    n_unfinished: dict[Key, int] = defaultdict(int)
    for target in targets:
        name: str = target.annotation
        for kind, run, number in runs_of(target, (RANDOM, DONORS, REFERENCE), embedding):
            split = target.splits[kind][number]
            near = target.codes[embedding.nearest(split, run, evaluate.knn.k, evaluate.metric)]
            voted = neighbours.vote(near, evaluate.knn.tie)
            given[("knn", name, kind), run].append((split.test, voted))
            if kind != DONORS or run == 0:
                found.neighbours[name, kind].append(near)
                found.predicted[name, kind].append(voted)
        if name not in evaluate.logreg.labels:
            continue
        for task, kind, run, number, said in regressions(target, embedding, evaluate):
            key: Key = (task, name, kind)
            given[key, run].append((target.splits[kind][number].test, said.codes))
            if kind != DONORS or run == 0:
                n_unfinished[key] += not said.converged
                found.probabilities[key].append(said.probabilities)
    by_name = {target.annotation: target for target in targets}
    runs: dict[Key, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for (key, _), of_run in given.items():
        cells, codes = map(np.concatenate, zip(*of_run, strict=True))
        runs[key].append((cells, codes))
    for key, of_runs in runs.items():
        count_runs(found, by_name[key[1]], key, of_runs, n_unfinished[key])
    return found


def runs_of(target: Target, kinds: Sequence[str], embedding: Scored) -> Iterator[tuple[str, int, int]]:
    """Yield the kind of split, the run and the number of each division: donors are held out once for each draw."""
    for kind in (kind for kind in kinds if kind in target.splits):
        numbers = range(len(target.splits[kind]))
        if kind == DONORS:
            yield from ((kind, draw, number) for draw in embedding.whole_draws for number in numbers)
        else:
            yield from ((kind, number, number) for number in numbers)


def regressions(target: Target, embedding: Scored, evaluate: Evaluate) -> list[Regression]:
    """Regress on the coordinates of each division, as they are and standardised, all of one matrix together."""
    jobs = [
        (task, *one) for task in REGRESSIONS for one in runs_of(target, (RANDOM, DONORS), embedding)
    ]  # in the order of the results
    together: dict[object, list[int]] = defaultdict(list)
    for index, (_, kind, run, number) in enumerate(jobs):
        together[embedding.key(target.splits[kind][number], run)].append(index)
    said: dict[int, Prediction] = {}
    for indices in together.values():
        fits = [
            Fit(target.splits[kind][number], REGRESSIONS[task])
            for task, kind, _, number in map(jobs.__getitem__, indices)
        ]
        _, kind, run, number = jobs[indices[0]]
        coordinates = embedding.points if target.order is None else embedding.stored
        points = coordinates(target.splits[kind][number], run)
        found = regression.regress(points, target.codes, len(target.classes), fits, evaluate.logreg)
        said |= dict(zip(indices, found, strict=True))
    return [Regression(*job, said[index]) for index, job in enumerate(jobs)]


def count_runs(
    found: Predictions, target: Target, key: Key, runs: Sequence[tuple[np.ndarray, np.ndarray]], n_unfinished: int = 0
) -> None:
    """Add what the classes given to the test cells of each run, (cells, codes), come to."""
    counted = counts.stack([count_cells(target, key[2], cells, codes) for cells, codes in runs])
    found.counts[key] = counted
    found.notes[key] = prediction_notes(target, key, counted, n_unfinished)
    if target.order is not None:
        size, groups = len(target.classes), target.order.groups
        found.left_out[key] = counts.stack(
            [
                counts.left_out(counts.count(target.codes[cells], codes, size, groups(cells), GROUPS))
                for cells, codes in runs
            ]
        )


def count_cells(target: Target, kind: str, cells: np.ndarray, given: np.ndarray) -> Counts:
    """Count the predictions of a run, by donor if donors are held out."""
    donors = None
    if kind == DONORS and target.donors is not None:
        donors = np.unique(target.donors.codes[cells], return_inverse=True)[1]
    return counts.count(target.codes[cells], given, len(target.classes), donors)


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


def predicted_labels(target: Target, results: Mapping[str, Results], cell_ids: pd.Index) -> pd.DataFrame:
    """Return the label that each model predicts for each test cell, one line per cell.

    With whole donors held out each cell is a test cell once; without donors the test cells are those of the first
    random split. The columns are `cell_id`, `split`, `actual` and the models. A model without that split has no text.
    """
    kind = DONORS if DONORS in target.splits else RANDOM
    divisions = target.splits[kind][: None if kind == DONORS else 1]
    rows = np.concatenate([split.test for split in divisions])
    order = np.argsort(rows)
    table = {"cell_id": cell_ids[rows], "split": kind, "actual": target.classes[target.codes[rows]]}
    for name, result in results.items():
        said = result.predicted.get((target.annotation, kind), [])[: len(divisions)]
        table[name] = target.classes[np.concatenate(said)] if said else ""
    return pd.DataFrame(table).iloc[order]

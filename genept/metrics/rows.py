"""The rows of the full table: the mean of runs and where single runs fall, or the interval over donors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genept.core.params import Evaluate
from genept.data.sampling import GROUPS, Order
from genept.metrics import counts, ranges
from genept.metrics.counts import Counts
from genept.metrics.results import Key, Results, Row
from genept.metrics.scores import Metric, metrics_of
from genept.metrics.targets import DONORS, RANDOM, REFERENCE, Target

FIRST_DRAW = "of the control's first draw"
Spread = Mapping[tuple[str, str, str, str], float]  # how far another training falls, by key and metric


class Predictions(NamedTuple):
    """What the classifiers say of test cells.

    `counts` are by task, annotation and kind of split: for each run (``random``), or for each draw with a row for each
    donor (``donors``). `neighbours` are the classes of neighbours by annotation and kind, for each division.
    `probabilities` are by task, annotation and kind; a class's probabilities for each division. `notes` are on keys. Of
    a large dataset, `left_out` are the counts without each group of the drawn cells, (n_runs, n_groups, n_classes).
    """

    counts: dict[Key, Counts]
    neighbours: dict[tuple[str, str], list[np.ndarray]]
    predicted: dict[tuple[str, str], list[np.ndarray]]
    probabilities: dict[Key, list[np.ndarray]]
    notes: dict[Key, list[str]]
    left_out: dict[Key, Counts]


class Drawn(NamedTuple):
    """The cells that scores of a large dataset are of: of the first run, and how many they were drawn from.

    `errors` are the standard errors of the scores by metric, as far as they have one.
    """

    cells: np.ndarray
    n_all: int
    errors: Mapping[str, float | None] = {}

    @property
    def is_sample(self) -> bool:
        """Whether not all cells were drawn."""
        return len(self.cells) < self.n_all


def collect(
    targets: Sequence[Target],
    embedded: Mapping[Key, dict[str, Any]],
    predictions: Predictions,
    evaluate: Evaluate,
    seed: int,
    spread: Spread,
) -> Results:
    """Make the rows of all scores, annotation by annotation."""
    rows: list[Row] = []
    runs: dict[tuple[Key, str], np.ndarray] = {}
    by_donor: dict[Key, Counts] = {}
    areas: dict[tuple[Key, str], np.ndarray] = {}
    probabilities: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for target in targets:
        for key, entry in embedded.items():
            if key[1] == target.annotation:
                rows += run_rows(target, key, entry["values"], entry["notes"], runs, spread, entry.get("drawn"))
        for key, counted in predictions.counts.items():
            if key[1] != target.annotation:
                continue
            notes, said = predictions.notes[key], predictions.probabilities.get(key)
            if key[2] == DONORS:
                by_donor[key] = counted
                left_out = predictions.left_out.get(key)
                rows += donor_rows(target, key, counted, said, evaluate, seed, notes, areas, spread, left_out)
            else:
                values = prediction_values(target, key, counted, said, evaluate)
                rows += run_rows(target, key, values, notes, runs, spread, of_tests(target, key, predictions, evaluate))
                if key[0] == "knn" and target is targets[0]:
                    rows += class_rows(target, key[2], counted, predictions.left_out.get(key))
            if said:
                probabilities[target.annotation].append(probability_table(target, key, said))
    first = targets[0]
    test = first.splits[RANDOM][0].test
    given = predictions.predicted[first.annotation, RANDOM][0]
    pairs = pd.DataFrame({"actual": first.classes[first.codes[test]], "predicted": first.classes[given]})
    tables = {annotation: pd.concat(parts) for annotation, parts in probabilities.items()}
    return Results(rows, runs, by_donor, areas, predictions.neighbours, predictions.predicted, pairs, tables)


def size_of(target: Target, key: Key, drawn: Drawn | None = None) -> dict[str, int | None]:
    """Return the cells behind a row, of the first run, with their labels and donors; of a sample, of how many it is."""
    kind, n_all = key[2], None
    if drawn is not None:
        cells, n_all = drawn.cells, drawn.n_all if drawn.is_sample else None
    elif kind in (DONORS, REFERENCE, RANDOM):
        divisions = target.splits[kind][: 1 if kind == RANDOM else None]
        cells, n_tested = (
            np.concatenate([split.test for split in divisions]),
            sum(len(one.all_test) for one in divisions),
        )
        n_all = n_tested if len(cells) < n_tested else None
    else:
        cells = target.cells
    n_classes = len(np.unique(target.codes[cells]))
    return {"n_cells": len(cells), "n_classes": n_classes, "n_donors": target.n_donors(cells), "n_all": n_all}


def of_tests(target: Target, key: Key, predictions: Predictions, evaluate: Evaluate) -> Drawn | None:
    """Return the test cells that are drawn of a large dataset, and the errors of a classifier's mean scores."""
    if key not in predictions.left_out or target.order is None:
        return None
    divisions, said = target.splits[key[2]], predictions.probabilities.get(key)
    n_drawn, n_all = len(divisions[0].test), len(divisions[0].all_test)
    left_out = dict(counted_values(key, predictions.left_out[key], evaluate))
    for metric in metrics_of(key[0]):
        if metric.of_probabilities and said:
            left_out[metric.name] = np.array(
                [
                    metric.function(target.codes[one.test], own, leaving_out(target.order, one.test))
                    for one, own in zip(divisions, said, strict=True)
                ]
            )
    errors = {name: error_of(values, n_drawn, n_all) for name, values in left_out.items()}
    return Drawn(divisions[0].test, n_all, errors)


def counted_values(key: Key, counted: Counts, evaluate: Evaluate) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the values of the metrics that counts give."""
    for metric in metrics_of(key[0]):
        if not metric.of_probabilities:
            yield metric.name, np.asarray(metric.function(counted, evaluate.min_test_cells), dtype=np.float64)


def leaving_out(order: Order, cells: np.ndarray) -> np.ndarray:
    """Return weights that leave out each group of drawn cells in turn, shape (n_groups, n_cells)."""
    return (order.groups(cells) != np.arange(GROUPS)[:, None]).astype(np.float64)


def error_of(left_out: np.ndarray, n_drawn: int, n_all: int) -> float | None:
    """Return the standard error of a mean over runs, whose values without each group have shape (n_runs, n_groups)."""
    defined = left_out[np.isfinite(left_out).all(axis=1)]
    return ranges.standard_error(defined.mean(axis=0), n_drawn, n_all) if len(defined) else None


def error_margin(se: float | None) -> float:
    """Return by how much an error widens a range."""
    return ranges.t_quantile(GROUPS - 1) * (se or 0.0)


def run_rows(
    target: Target,
    key: Key,
    values: Mapping[str, Any],
    notes: Sequence[str],
    runs: dict[tuple[Key, str], np.ndarray],
    spread: Spread,
    drawn: Drawn | None = None,
) -> Iterator[Row]:
    """Yield the rows of scores that every run has one of, and keep the runs; undefined ones are left out.

    The range of a sample's score is widened by its standard error: all runs share the sample, so that their spread does
    not show how far another one would move them.
    """
    task, annotation, kind = key
    size: Any = size_of(target, key, drawn)
    if not any(len(own) for own in values.values()):
        note = f"{task} not scored: every cell or no cell has a label of its own"
        yield Row("labels", annotation, "n_classes", size["n_classes"], split=kind, note=note, **size)
    for metric in metrics_of(task):
        all_runs = np.asarray(values.get(metric.name, []), dtype=np.float64)
        own = all_runs[np.isfinite(all_runs)]
        if not len(own):
            continue
        runs[key, metric.name] = all_runs
        se = drawn.errors.get(metric.name) if drawn and drawn.is_sample else None
        margin = math.hypot(spread.get((task, annotation, kind, metric.name), 0.0), error_margin(se))
        low, high = ranges.single_runs(own, metric.bounds, margin) or (None, None)
        sd = float(own.std(ddof=1)) if len(own) > 1 else None
        yield Row(
            task, annotation, metric.name, float(own.mean()), split=kind, low=low, high=high, sd=sd,
            n_runs=len(own), first=float(own[0]), note="; ".join(notes), se=se, **size,
        )  # fmt: skip


def prediction_values(
    target: Target, key: Key, counted: Counts, said: Sequence[np.ndarray] | None, evaluate: Evaluate
) -> dict[str, np.ndarray]:
    """Return the values of a classifier's metrics in each run."""
    values = {}
    for metric in metrics_of(key[0]):
        if not metric.of_probabilities:
            values[metric.name] = metric.function(counted, evaluate.min_test_cells)
        elif said:
            divisions = zip(target.splits[key[2]], said, strict=True)
            values[metric.name] = np.array([metric.function(target.codes[one.test], p)[0] for one, p in divisions])
    return values


def donor_rows(
    target: Target,
    key: Key,
    counted: Counts,
    said: Sequence[np.ndarray] | None,
    evaluate: Evaluate,
    seed: int,
    notes: Sequence[str],
    areas: dict[tuple[Key, str], np.ndarray],
    spread: Spread,
    left_out: Counts | None = None,
) -> Iterator[Row]:
    """Yield the rows of a classifier with whole donors held out, and keep AUROC's.

    A value is that of all test cells together, each predicted once. Its interval is over resamples of the donors, with
    the predictions as they are; a control's draws take turns in them. Below `ranges.MIN_DONORS`, that of accuracy
    reaches from the lowest to the highest donor's own; an average over classes has none. The interval holds the error
    of a sample, since each donor is resampled with its drawn cells.
    """
    task, annotation, kind = key
    size: Any = size_of(target, key)
    n_draws, n_donors = counted.actual.shape[:2]
    cells = np.concatenate([split.test for split in target.splits[DONORS]])
    probabilities = np.concatenate(said) if said else None
    assert target.donors is not None
    donors = np.unique(target.donors.codes[cells], return_inverse=True)[1]
    few = n_donors < ranges.MIN_DONORS
    weights = np.eye(n_donors) if few else ranges.resample(n_donors, seed)
    without = {} if left_out is None else dict(counted_values(key, left_out, evaluate))
    for metric in metrics_of(task):
        if metric.of_probabilities:
            if probabilities is None:
                continue
            actual = target.codes[cells]
            fold = target.donors.fold[target.donors.codes[cells]]
            value = float(metric.function(actual, probabilities, None, fold)[0])
            if left_out is not None and target.order is not None:
                without[metric.name] = metric.function(actual, probabilities, leaving_out(target.order, cells), fold)[
                    None
                ]
            resampled = metric.function(actual, probabilities, weights[:, donors], fold)
            areas[key, metric.name] = np.array([value]) if few else np.array([value, *resampled])
        else:
            value = float(metric.function(Counts(*(n.sum(axis=1) for n in counted)), evaluate.min_test_cells).mean())
            parts = [
                resampled_values(metric, counted.draw(draw), weights if few else weights[draw::n_draws], evaluate)
                for draw in range(n_draws)
            ]
            resampled = np.concatenate(parts)
        if not np.isfinite(value):
            continue
        if not few:
            between = ranges.over_donors(resampled)
        elif metric.name == "accuracy":
            between = float(resampled.min()), float(resampled.max())
        else:
            between = None  # a donor's own average is of the classes that it has
        se = error_of(without[metric.name], size["n_cells"], size["n_all"]) if without and size["n_all"] else None
        margin = spread.get((task, annotation, kind, metric.name), 0.0)
        low, high = ranges.widen(value, between, metric.bounds, margin) if between else (None, None)
        yield Row(
            task, annotation, metric.name, value, split=kind, low=low, high=high, first=value,
            note="; ".join([*notes, FIRST_DRAW] if n_draws > 1 and metric.of_probabilities else notes), se=se, **size,
        )  # fmt: skip


def resampled_values(metric: Metric, by_donor: Counts, weights: np.ndarray, evaluate: Evaluate) -> np.ndarray:
    """Return a score of each resample of donors, shape (n_resamples,); NaN where an average over classes lacks one."""
    sums, lacks = counts.resample(by_donor, weights)
    values = np.asarray(metric.function(sums, evaluate.min_test_cells), dtype=np.float64)
    return np.where(lacks, np.nan, values) if metric.over_classes else values


def class_rows(target: Target, kind: str, counted: Counts, left_out: Counts | None = None) -> Iterator[Row]:
    """Yield precision, recall, F1 and number of test cells of each class, as means over the runs that have it.

    Errors of a sample are as in `run_rows`.
    """
    size: Any = size_of(target, ("knn", target.annotation, kind))
    known = np.unique(np.concatenate([np.unique(target.codes[split.train]) for split in target.splits[kind]]))
    by_class = {name: function(counted) for name, function in counts.OF_CLASS.items()}
    without = {name: function(left_out) for name, function in counts.OF_CLASS.items()} if left_out else {}
    for code, label in enumerate(target.classes):
        support, given = counted.actual[:, code], counted.predicted[:, code]
        takes_part = support + given > 0
        if not takes_part.any():
            if code in known:
                note = "no test cell; not in the macro average"
                yield Row("knn", target.annotation, "support", 0, split=kind, label=label, note=note, **size)
            continue
        note = "no test cell" if not support.any() else "" if code in known else "no training cell"
        for name, values in by_class.items():
            own = values[takes_part, code]
            of_label = without[name][takes_part, :, code] if without and size["n_all"] else None
            se = None if of_label is None else error_of(of_label, size["n_cells"], size["n_all"])
            low, high = ranges.single_runs(own, (0, 1), error_margin(se)) or (None, None)
            yield Row(
                "knn", target.annotation, name, float(own.mean()), split=kind, label=label, low=low, high=high,
                n_runs=len(own), note=note, se=se, **size,
            )  # fmt: skip
        yield Row(
            "knn", target.annotation, "support", float(support.mean()), split=kind, label=label, note=note, **size
        )


def probability_table(target: Target, key: Key, said: Sequence[np.ndarray]) -> pd.DataFrame:
    """Return the predicted probabilities of test cells: of the first random split, or of all with donors held out."""
    task, _, kind = key
    divisions = list(zip(target.splits[kind], said, strict=True))[: 1 if kind == RANDOM else None]
    rows = np.concatenate([split.test for split, _ in divisions])
    table = pd.DataFrame({"row": rows, "task": task, "split": kind, "actual": target.classes[target.codes[rows]]})
    probabilities = pd.DataFrame(np.concatenate([p for _, p in divisions]).round(6), columns=target.classes)
    return pd.concat([table, probabilities], axis=1)

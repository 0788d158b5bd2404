"""The rows of the full table: the mean of runs and where single runs fall, or the interval over donors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genept.core.params import Evaluate
from genept.metrics import counts, ranges
from genept.metrics.counts import Counts
from genept.metrics.results import Key, Results, Row
from genept.metrics.scores import Metric, metrics_of
from genept.metrics.targets import ALL, DONORS, RANDOM, Target

FIRST_DRAW = "of the control's first draw"
Spread = Mapping[tuple[str, str, str, str], float]  # how far another training falls, by key and metric


class Predictions(NamedTuple):
    """What the classifiers say of test cells.

    `counts` are by task, annotation and kind of split: for each run (``random``), or for each draw with a row for each
    donor (``donors``). `neighbours` are the classes of neighbours by annotation and kind, for each division.
    `probabilities` are by task, annotation and kind; a class's probabilities for each division. `notes` are on keys.
    """

    counts: dict[Key, Counts]
    neighbours: dict[tuple[str, str], list[np.ndarray]]
    predicted: dict[tuple[str, str], list[np.ndarray]]
    probabilities: dict[Key, list[np.ndarray]]
    notes: dict[Key, list[str]]


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
                rows += run_rows(target, key, entry["values"], entry["notes"], runs, spread)
        for key, counted in predictions.counts.items():
            if key[1] != target.annotation:
                continue
            notes, said = predictions.notes[key], predictions.probabilities.get(key)
            if key[2] == DONORS:
                by_donor[key] = counted
                rows += donor_rows(target, key, counted, said, evaluate, seed, notes, areas, spread)
            else:
                values = prediction_values(target, key, counted, said, evaluate)
                rows += run_rows(target, key, values, notes, runs, spread)
                if key[0] == "knn" and target is targets[0]:
                    rows += class_rows(target, key[2], counted)
            if said:
                probabilities[target.annotation].append(probability_table(target, key, said))
    first = targets[0]
    test = first.splits[RANDOM][0].test
    given = predictions.predicted[first.annotation, RANDOM][0]
    pairs = pd.DataFrame({"actual": first.classes[first.codes[test]], "predicted": first.classes[given]})
    tables = {annotation: pd.concat(parts) for annotation, parts in probabilities.items()}
    return Results(rows, runs, by_donor, areas, predictions.neighbours, predictions.predicted, pairs, tables)


def size_of(target: Target, key: Key) -> dict[str, int | None]:
    """Return the cells behind a row, of the first run, with their labels and donors."""
    kind = key[2]
    if kind == DONORS:
        cells = np.concatenate([split.test for split in target.splits[DONORS]])
    else:
        cells = target.cells if kind == ALL else target.splits[kind][0].test
    n_classes = len(np.unique(target.codes[cells]))
    return {"n_cells": len(cells), "n_classes": n_classes, "n_donors": target.n_donors(cells)}


def run_rows(
    target: Target,
    key: Key,
    values: Mapping[str, Any],
    notes: Sequence[str],
    runs: dict[tuple[Key, str], np.ndarray],
    spread: Spread,
) -> Iterator[Row]:
    """Yield the rows of scores that every run has one of, and keep the runs; undefined ones are left out."""
    task, annotation, kind = key
    size: Any = size_of(target, key)
    if not any(len(own) for own in values.values()):
        note = f"{task} not scored: every cell or no cell has a label of its own"
        yield Row("labels", annotation, "n_classes", size["n_classes"], split=kind, note=note, **size)
    for metric in metrics_of(task):
        all_runs = np.asarray(values.get(metric.name, []), dtype=np.float64)
        own = all_runs[np.isfinite(all_runs)]
        if not len(own):
            continue
        runs[key, metric.name] = all_runs
        margin = spread.get((task, annotation, kind, metric.name), 0.0)
        low, high = ranges.single_runs(own, metric.bounds, margin) or (None, None)
        sd = float(own.std(ddof=1)) if len(own) > 1 else None
        yield Row(
            task, annotation, metric.name, float(own.mean()), split=kind, low=low, high=high, sd=sd,
            n_runs=len(own), first=float(own[0]), note="; ".join(notes), **size,
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
) -> Iterator[Row]:
    """Yield the rows of a classifier with whole donors held out, and keep AUROC's.

    A value is that of all test cells together, each predicted once. Its interval is over resamples of the donors, with
    the predictions as they are; a control's draws take turns in them. Below `ranges.MIN_DONORS`, that of accuracy
    reaches from the lowest to the highest donor's own; an average over classes has none.
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
    for metric in metrics_of(task):
        if metric.of_probabilities:
            if probabilities is None:
                continue
            actual = target.codes[cells]
            fold = target.donors.fold[target.donors.codes[cells]]
            value = float(metric.function(actual, probabilities, None, fold)[0])
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
        margin = spread.get((task, annotation, kind, metric.name), 0.0)
        low, high = ranges.widen(value, between, metric.bounds, margin) if between else (None, None)
        yield Row(
            task, annotation, metric.name, value, split=kind, low=low, high=high, first=value,
            note="; ".join([*notes, FIRST_DRAW] if n_draws > 1 and metric.of_probabilities else notes), **size,
        )  # fmt: skip


def resampled_values(metric: Metric, by_donor: Counts, weights: np.ndarray, evaluate: Evaluate) -> np.ndarray:
    """Return a score of each resample of donors, shape (n_resamples,); NaN where an average over classes lacks one."""
    sums, lacks = counts.resample(by_donor, weights)
    values = np.asarray(metric.function(sums, evaluate.min_test_cells), dtype=np.float64)
    return np.where(lacks, np.nan, values) if metric.over_classes else values


def class_rows(target: Target, kind: str, counted: Counts) -> Iterator[Row]:
    """Yield precision, recall, F1 and number of test cells of each class, as means over the runs that have it."""
    size: Any = size_of(target, ("knn", target.annotation, kind))
    known = np.unique(np.concatenate([target.codes[split.train] for split in target.splits[kind]]))
    by_class = {name: function(counted) for name, function in counts.OF_CLASS.items()}
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
            low, high = ranges.single_runs(own, (0, 1)) or (None, None)
            yield Row(
                "knn", target.annotation, name, float(own.mean()), split=kind, label=label, low=low, high=high,
                n_runs=len(own), note=note, **size,
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

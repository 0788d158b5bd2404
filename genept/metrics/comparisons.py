"""Paired differences between models, on the same test cells, the same seeds, and the same donors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from genept.core.params import Evaluate
from genept.metrics import ranges
from genept.metrics.counts import Counts
from genept.metrics.results import Key, Results, rounded
from genept.metrics.scores import REGRESSIONS, Metric, metrics_of, of_embeddings
from genept.metrics.targets import ALL, DONORS, RANDOM, Target

COLUMNS = (
    *("task", "annotation", "split", "metric", "model", "other"),
    *("difference", "low", "high", "p", "method", "n", "note"),
)
SPLITS, SWAPPED, SEEDS, RESAMPLED = "splits", "donors", "seeds", "resamples"  # methods


def compare(results: Mapping[str, Results], targets: Sequence[Target], evaluate: Evaluate, seed: int) -> pd.DataFrame:
    """Compare every two models in each score that tables print: one line each, `model` less `other`.

    Random splits: Nadeau and Bengio's corrected t-test, which holds for further cells of the same donors. Donors held
    out: the two models' predictions are swapped for whole donors, and the interval is over resamples of donors; below
    ten donors there is neither. AUROC, whose probabilities cannot be exchanged between models, is tested by the
    resamples. k-means and silhouettes of all cells: a paired t-test over seeds, which holds for these cells. p is
    two-sided and not adjusted for the number of comparisons.
    """
    lines: list[tuple[Any, ...]] = []
    for target in targets:
        for key in keys_of(target, evaluate):
            with_key = [name for name, result in results.items() if has(result, key)]
            for model, other in combinations(with_key, 2):
                found = by_donors if key[2] == DONORS else by_runs
                for metric, *numbers in found(results[model], results[other], target, key, evaluate, seed):
                    lines.append((*key, metric, model, other, *numbers))
    table = pd.DataFrame(lines, columns=list(COLUMNS), dtype=object)
    for name in ("difference", "low", "high"):
        table[name] = [None if value is None else rounded(value) for value in table[name]]
    return table


def keys_of(target: Target, evaluate: Evaluate) -> Iterator[Key]:
    """Yield the tasks and kinds of splits of an annotation that tables print."""
    for task in ("kmeans", *dict.fromkeys(task for task, _ in of_embeddings())):
        yield from ((task, target.annotation, kind) for kind in (ALL, RANDOM))
    tasks = [*(["knn"] if target.annotation == "cell_type" else [])]
    tasks += REGRESSIONS if target.annotation in evaluate.logreg.labels else []
    yield from ((task, target.annotation, kind) for task in tasks for kind in (RANDOM, DONORS) if kind in target.splits)


def has(result: Results, key: Key) -> bool:
    """Whether a model has scores of a task and kind of split."""
    return key in result.by_donor or any((key, metric.name) in result.runs for metric in metrics_of(key[0]))


def by_runs(
    model: Results, other: Results, target: Target, key: Key, evaluate: Evaluate, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the differences over runs: of the splits, or of the k-means seeds, that both models have."""
    first = target.splits[RANDOM][0]
    is_split = key[2] == RANDOM
    ratio = len(first.test) / len(first.train) if is_split else 0.0
    method = SPLITS if is_split else SEEDS
    for metric in metrics_of(key[0]):
        own, others = model.runs.get((key, metric.name)), other.runs.get((key, metric.name))
        if own is None or others is None:
            continue
        own, others = align(own, others)
        if not len(own):
            continue
        if len(own) < 2:
            yield metric.name, float(own.mean() - others.mean()), None, None, None, method, 1, "one number; no test"
            continue
        low, high, p = ranges.corrected_t(own - others, ratio)
        yield metric.name, float((own - others).mean()), low, high, float(f"{p:.3g}"), method, len(own), ""


def align(own: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs in which both models have a number; a single one, such as a floor's, stands for all runs."""
    n = max(len(own), len(others)) if 1 in (len(own), len(others)) else min(len(own), len(others))
    own, others = (np.full(n, runs[0]) if len(runs) == 1 else runs[:n] for runs in (own, others))
    defined = np.isfinite(own) & np.isfinite(others)
    return own[defined], others[defined]


def by_donors(
    model: Results, other: Results, target: Target, key: Key, evaluate: Evaluate, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the differences with whole donors held out; of a control, those of its first draw."""
    own, others = model.by_donor[key], other.by_donor[key]
    n_donors = len(own.actual)
    one = np.ones((1, n_donors))
    few = n_donors < ranges.MIN_DONORS
    if not few:
        weights, swap = ranges.resample(n_donors, seed), ranges.swaps(n_donors, seed)
        swapped = Counts(*(swap @ a + (1 - swap) @ b for a, b in zip(own, others, strict=True)))
        total = own.over(one), others.over(one)
        rest = Counts(*(a + b - s for a, b, s in zip(*total, swapped, strict=True)))
        resampled = own.over(weights), others.over(weights)
    for metric in metrics_of(key[0]):
        if metric.of_probabilities:
            yield from by_resamples(model, other, target, key, metric, seed)
            continue

        def value(counted: Counts, function: Any = metric.function) -> np.ndarray:
            return function(counted, evaluate.min_test_cells)

        difference = float((value(own.over(one)) - value(others.over(one)))[0])
        if not np.isfinite(difference):
            continue
        if few:
            note = f"{n_donors} donors; no test possible"
            yield metric.name, difference, None, None, None, SWAPPED, n_donors, note
            continue
        low, high = ranges.over_donors(value(resampled[0]) - value(resampled[1])) or (None, None)
        p = ranges.p_of_swaps(difference, value(swapped) - value(rest), len(swap) < ranges.SWAPS)
        yield metric.name, difference, low, high, float(f"{p:.3g}"), SWAPPED, n_donors, ""


def by_resamples(
    model: Results, other: Results, target: Target, key: Key, metric: Metric, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the difference of a score of probabilities: its interval over resamples of donors, and twice its tail."""
    tables = [result.probabilities.get(target.annotation) for result in (model, other)]
    if target.donors is None or any(table is None for table in tables):
        return
    values = []
    for table in tables:
        assert table is not None
        own = table[(table["task"] == key[0]) & (table["split"] == DONORS)]
        cells = own["row"].to_numpy()
        codes, fold = target.donors.codes[cells], target.donors.fold[target.donors.codes[cells]]
        donors = np.unique(codes, return_inverse=True)[1]
        n_donors = int(donors.max(initial=-1)) + 1
        weights = np.ones((1, n_donors))
        if n_donors >= ranges.MIN_DONORS:
            weights = np.concatenate([weights, ranges.resample(n_donors, seed)])
        probabilities = own[target.classes].to_numpy()
        values.append(metric.function(target.codes[cells], probabilities, weights[:, donors], fold))
    difference, *resampled = values[0] - values[1]
    if not np.isfinite(difference):
        return
    numbers = np.array(resampled)
    numbers = numbers[np.isfinite(numbers)]
    between = ranges.over_donors(np.array(resampled)) if len(numbers) else None
    if between is None:
        yield (
            metric.name,
            float(difference),
            None,
            None,
            None,
            RESAMPLED,
            n_donors,
            f"{n_donors} donors; no test possible",
        )
        return
    tail = 1 + min(int((numbers <= 0).sum()), int((numbers >= 0).sum()))
    p = min(1.0, 2 * tail / (len(numbers) + 1))
    yield metric.name, float(difference), *between, float(f"{p:.3g}"), RESAMPLED, n_donors, ""

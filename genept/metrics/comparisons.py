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
from genept.metrics.rows import resampled_values
from genept.metrics.scores import REGRESSIONS, metrics_of, of_embeddings
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
            with_key = {name: result for name, result in results.items() if has(result, key)}
            resampled = {}
            if key[2] == DONORS:
                resampled = {name: resample(result, target, key, evaluate, seed) for name, result in with_key.items()}
            for model, other in combinations(with_key, 2):
                pair = with_key[model], with_key[other]
                if key[2] == DONORS:
                    found = by_donors(*pair, resampled[model], resampled[other], key, evaluate, seed)
                else:
                    found = by_runs(*pair, target, key)
                lines += [(*key, metric, model, other, *numbers) for metric, *numbers in found]
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


def by_runs(model: Results, other: Results, target: Target, key: Key) -> Iterator[tuple[Any, ...]]:
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


def resample(result: Results, target: Target, key: Key, evaluate: Evaluate, seed: int) -> dict[str, np.ndarray]:
    """Return a model's scores with donors held out: of all cells, then of each resample of donors, by metric.

    Means over a control's draws; AUROC is of the first. Below `ranges.MIN_DONORS` there are no resamples.
    """
    counted = result.by_donor[key]
    n_draws, n_donors = counted.actual.shape[:2]
    weights = np.ones((1, n_donors))
    if n_donors >= ranges.MIN_DONORS:
        weights = np.concatenate([weights, ranges.resample(n_donors, seed)])
    table = result.probabilities.get(target.annotation)
    found = {}
    for metric in metrics_of(key[0]):
        if not metric.of_probabilities:
            values = [resampled_values(metric, counted.draw(draw), weights, evaluate) for draw in range(n_draws)]
            found[metric.name] = np.mean(values, axis=0)
        elif table is not None and target.donors is not None:
            own = table[(table["task"] == key[0]) & (table["split"] == DONORS)]
            cells = own["row"].to_numpy()
            donors = target.donors.codes[cells]
            by_cell = weights[:, np.unique(donors, return_inverse=True)[1]]
            probabilities = own[target.classes].to_numpy()
            found[metric.name] = metric.function(
                target.codes[cells], probabilities, by_cell, target.donors.fold[donors]
            )
    return found


def by_donors(
    model: Results,
    other: Results,
    own: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    key: Key,
    evaluate: Evaluate,
    seed: int,
) -> Iterator[tuple[Any, ...]]:
    """Yield the differences with whole donors held out, given what `resample` found for both models."""
    pair = model.by_donor[key], other.by_donor[key]
    n_donors = pair[0].actual.shape[1]
    few = n_donors < ranges.MIN_DONORS
    exchanged: list[tuple[Counts, Counts]] = []
    for draw in range(0 if few else max(len(counted.actual) for counted in pair)):  # with the same swaps
        swap = ranges.swaps(n_donors, seed)
        drawn = [counted.draw(draw) for counted in pair]
        swapped = Counts(*(swap @ a + (1 - swap) @ b for a, b in zip(*drawn, strict=True)))
        rest = Counts(*((a + b).sum(axis=0) - s for a, b, s in zip(*drawn, swapped, strict=True)))
        exchanged.append((swapped, rest))
    for metric in metrics_of(key[0]):
        if metric.name not in own or metric.name not in others:
            continue
        method = RESAMPLED if metric.of_probabilities else SWAPPED
        difference, *resampled = own[metric.name] - others[metric.name]
        if not np.isfinite(difference):
            continue
        between = ranges.over_donors(np.array(resampled)) if resampled else None
        if few or between is None:
            note = f"{n_donors} donors; no test possible"
            yield metric.name, float(difference), None, None, None, method, n_donors, note
            continue
        if metric.of_probabilities:
            p = ranges.p_of_resamples(np.array(resampled))
        else:
            least = evaluate.min_test_cells
            after = [metric.function(swapped, least) - metric.function(rest, least) for swapped, rest in exchanged]
            p = ranges.p_of_swaps(float(difference), np.mean(after, axis=0), len(after[0]) < ranges.SWAPS)
        yield metric.name, float(difference), *between, float(f"{p:.3g}"), method, n_donors, ""

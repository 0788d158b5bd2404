"""Paired differences between models, on the same test cells, the same seeds, and the same donors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

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
            held_out: dict[str, HeldOut] = {}
            if key[2] == DONORS:
                held_out = {name: hold_out(result, key, evaluate, seed) for name, result in with_key.items()}
            for model, other in combinations(with_key, 2):
                if key[2] == DONORS:
                    found = by_donors(held_out[model], held_out[other], key, evaluate)
                else:
                    found = by_runs(with_key[model], with_key[other], target, key)
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
    ratio = len(first.all_test) / len(first.train) if is_split else 0.0
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


class HeldOut(NamedTuple):
    """What comparing a model with donors held out takes.

    `values` are by metric: of all cells, then of each resample of donors; means over a control's draws, AUROC of the
    first. `swapped` counts the cells of the donors that are swapped, (n_draws, n_swaps, n_classes), `total` of all,
    (n_draws, 1, n_classes). Below `ranges.MIN_DONORS` there are neither resamples nor swaps.
    """

    n_donors: int
    values: dict[str, np.ndarray]
    swapped: Counts
    total: Counts

    def draws(self, n: int) -> tuple[Counts, Counts]:
        """Return what is swapped and what is not for n draws, taken in turn."""
        turn = np.arange(n) % len(self.total.actual)
        swapped = Counts(*(own[turn] for own in self.swapped))
        return swapped, Counts(*(all_[turn] - own for all_, own in zip(self.total, swapped, strict=True)))


def hold_out(result: Results, key: Key, evaluate: Evaluate, seed: int) -> HeldOut:
    """Resample and swap the donors of a model's scores."""
    counted = result.by_donor[key]
    n_draws, n_donors = counted.actual.shape[:2]
    weights, swaps = np.ones((1, n_donors)), np.empty((0, n_donors))
    if n_donors >= ranges.MIN_DONORS:
        weights = np.concatenate([weights, ranges.resample(n_donors, seed)])
        swaps = ranges.swaps(n_donors, seed)
    found = {
        metric.name: result.areas[key, metric.name]
        for metric in metrics_of(key[0])
        if (key, metric.name) in result.areas
    }
    for metric in (metric for metric in metrics_of(key[0]) if not metric.of_probabilities):
        values = [resampled_values(metric, counted.draw(draw), weights, evaluate) for draw in range(n_draws)]
        found[metric.name] = np.mean(values, axis=0)
    total = Counts(*(own.sum(axis=1, keepdims=True) for own in counted))
    return HeldOut(n_donors, found, Counts(*(swaps @ own for own in counted)), total)


def by_donors(model: HeldOut, other: HeldOut, key: Key, evaluate: Evaluate) -> Iterator[tuple[Any, ...]]:
    """Yield the differences with whole donors held out."""
    n_donors = model.n_donors
    few = n_donors < ranges.MIN_DONORS
    n_draws = max(len(model.total.actual), len(other.total.actual))
    (own, own_rest), (others, others_rest) = model.draws(n_draws), other.draws(n_draws)
    pairs = zip(own, own_rest, others, others_rest, strict=True)
    exchanged = Counts(*(np.stack([b + a_rest, a + b_rest]) for a, a_rest, b, b_rest in pairs))  # model, other
    for metric in metrics_of(key[0]):
        if metric.name not in model.values or metric.name not in other.values:
            continue
        method = RESAMPLED if metric.of_probabilities else SWAPPED
        difference, *resampled = model.values[metric.name] - other.values[metric.name]
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
            after = np.subtract(*metric.function(exchanged, evaluate.min_test_cells)).mean(axis=0)  # (n_swaps,)
            p = ranges.p_of_swaps(float(difference), after, len(after) < ranges.SWAPS)
        yield metric.name, float(difference), *between, float(f"{p:.3g}"), method, n_donors, ""

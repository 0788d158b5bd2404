"""Does the text help? GenePT-w against its controls and the baseline, by each distance and each k-means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from genept.core.params import Distance, Evaluate
from genept.metrics import clustering, counts, neighbours, ranges
from genept.metrics.embedding import Embedding
from genept.metrics.results import rounded
from genept.metrics.targets import RANDOM, Target, seeds

DISTANCES: tuple[Distance, ...] = ("cosine", "centred_cosine")
ALGORITHMS = ("minibatch", "full")
PER_DRAW, PER_MODEL = 3, 10  # k-means seeds: of each draw, and of text against the baseline
COLUMNS = (
    *("annotation", "metric", "setting", "text", "value", "versus", "value_versus"),
    *("difference", "low", "high", "p", "p_min", "n_draws"),
)
Runs = Mapping[tuple[str, str], np.ndarray]  # (metric, setting): (n_draws, n_runs)


def measure(target: Target, embedding: Embedding, evaluate: Evaluate, seed: int) -> Runs:
    """Score the cell types of every draw by each distance, over the random splits, and by each k-means.

    The first k-means seeds are the same for all; a single embedding has `PER_MODEL` of them, a draw `PER_DRAW`.
    """
    scores: dict[tuple[str, str], list[list[float]]] = {}
    n_seeds = PER_DRAW if embedding.n_draws > 1 else PER_MODEL
    codes = target.codes[target.cells]
    n_classes = len(np.unique(codes))
    with threadpool_limits(limits=1):
        for draw in range(embedding.n_draws):
            for distance in dict.fromkeys([*DISTANCES, evaluate.metric]):
                of_splits = counts.stack(
                    [
                        counts.count(
                            target.codes[split.test],
                            neighbours.vote(
                                target.codes[embedding.nearest(split, draw, evaluate.knn.k, distance)], evaluate.knn.tie
                            ),
                            len(target.classes),
                        )
                        for split in target.splits[RANDOM]
                    ]
                )
                f1 = counts.average(of_splits, 1, of="f1", over="macro")
                scores.setdefault(("accuracy", distance), []).append(list(counts.accuracy(of_splits)))
                scores.setdefault(("f1_macro", distance), []).append(list(f1))
            points = embedding.points(None, draw)[target.cells]
            for algorithm in ALGORITHMS:
                config = evaluate.kmeans.model_copy(update={"algorithm": algorithm})
                ari = [
                    float(adjusted_rand_score(codes, clustering.kmeans(points, n_classes, config, one)))
                    for one in seeds(seed, n_seeds)
                ]
                scores.setdefault(("ari", f"{algorithm} k-means"), []).append(ari)
    return {key: np.array(values) for key, values in scores.items()}


def table(
    text: str, controls: Sequence[str], baseline: str | None, measured: Mapping[str, Runs], ratio: float
) -> pd.DataFrame:
    """Compare the text with each control and with the baseline, given what `measure` found for each of them.

    `ratio` is that of test to training cells of the splits.
    """
    lines = [
        line
        for versus in [*controls, *filter(None, [baseline])]
        for line in effects(text, versus, versus in controls, measured, ratio)
    ]
    found = pd.DataFrame(lines, columns=list(COLUMNS), dtype=object)
    for name in ("value", "value_versus", "difference", "low", "high"):
        found[name] = [None if value is None else rounded(value) for value in found[name]]
    return found


def effects(
    text: str, versus: str, is_control: bool, measured: Mapping[str, Runs], ratio: float
) -> Iterator[tuple[Any, ...]]:
    """Yield one line for each score and setting."""
    for (metric, setting), runs in measured[versus].items():
        own, p_min, n_draws = measured[text][metric, setting][0], None, None
        if is_control:
            own, others, n_draws = own[: runs.shape[1]], runs.mean(axis=1), len(runs)  # the seeds that both have
            low, high, p, p_min = ranges.among_draws(float(own.mean()), others)
        else:
            others = runs[0]
            low, high, p = ranges.corrected_t(own - others, 0.0 if metric == "ari" else ratio)
        value, value_versus = float(own.mean()), float(others.mean())
        numbers = value, versus, value_versus, value - value_versus, low, high, float(f"{p:.3g}"), p_min, n_draws
        yield "cell_type", metric, setting, text, *numbers

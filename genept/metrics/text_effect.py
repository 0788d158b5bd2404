"""Does the text help? GenePT-w against its controls and the baseline, by each distance and each k-means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from genept.core.params import KNN, Distance, Evaluate, Params
from genept.metrics import agreement, clustering, counts, neighbours, ranges
from genept.metrics.counts import Counts
from genept.metrics.embedding import Embedding
from genept.metrics.minibatch import Run
from genept.metrics.results import rounded
from genept.metrics.targets import RANDOM, Target, seeds

DISTANCES: tuple[Distance, ...] = ("cosine", "centred_cosine")
PER_DRAW, PER_MODEL = 3, 10  # k-means seeds: of each draw, and of text against the baseline
COLUMNS = (
    *("annotation", "metric", "setting", "text", "value", "versus", "value_versus"),
    *("difference", "low", "high", "p", "p_min", "n_draws"),
)
Runs = Mapping[tuple[str, str], np.ndarray]  # (metric, setting): (n_draws, n_runs)


def measure(target: Target, embedding: Embedding, evaluate: Evaluate, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """Score the cell types of every draw by each distance, over the random splits, and by each k-means.

    The first k-means seeds are the same for all; a single embedding has `PER_MODEL` of them, a draw `PER_DRAW`. Full
    k-means starts once for each seed, as scikit-learn's default. Of a large dataset, k-means clusters the drawn cells.
    """
    scores: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    n_seeds = PER_DRAW if embedding.n_draws > 1 else PER_MODEL
    cells = target.first_cells(target.cells, evaluate.sample.test_cells)
    codes = np.unique(target.codes[cells], return_inverse=True)[1]
    n_classes = len(np.unique(codes))
    with threadpool_limits(limits=1):
        for draw in range(embedding.n_draws):
            for distance in dict.fromkeys([*DISTANCES, evaluate.metric]):
                counted = count_splits(target, embedding, draw, evaluate.knn, distance)
                scores["accuracy", distance].append(list(counts.accuracy(counted)))
                scores["f1_macro", distance].append(list(counts.average(counted, 1, of="f1", over="macro")))
            points = embedding.points(None, draw) if target.order is None else embedding.draws[draw]
            kmeans = [Run(points, cells, one) for one in seeds(seed, n_seeds)]
            for algorithm, n_init in (("minibatch", evaluate.kmeans.n_init), ("full", 1)):
                config = evaluate.kmeans.model_copy(update={"algorithm": algorithm, "n_init": n_init})
                clusters = clustering.kmeans(kmeans, n_classes, config)
                scores["ari", f"{algorithm} k-means"].append([agreement.ari(codes, own) for own in clusters])
    return {key: np.array(values) for key, values in scores.items()}


def count_splits(target: Target, embedding: Embedding, draw: int, knn: KNN, distance: Distance) -> Counts:
    """Count the classes that nearest neighbours give to the test cells of each random split."""
    found = []
    for split in target.splits[RANDOM]:
        near = target.codes[embedding.nearest(split, draw, knn.k, distance)]
        voted = neighbours.vote(near, knn.tie)
        found.append(counts.count(target.codes[split.test], voted, len(target.classes)))
    return counts.stack(found)


def models(params: Params) -> list[str]:
    """Name the model whose text is tested, its controls and the baseline; none without a model of that kind."""
    if not params.grid.models.genept_w:
        return []
    return list(dict.fromkeys([params.grid.models.genept_w[0], *params.grid.models.controls, params.baseline]))


def table(measured: Mapping[str, Runs], target: Target, params: Params) -> pd.DataFrame:
    """Compare the text with each control and with the baseline, given what `measure` found for each of `models`."""
    text, *others = models(params) or [""]
    split = target.splits[RANDOM][0]
    ratio = len(split.all_test) / len(split.train)
    lines = [
        line
        for versus in others
        for line in effects(text, versus, versus in params.grid.models.controls, measured, ratio)
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

"""Confusion matrices of a dataset's models, classes in one order, for `dvc plots` and the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from genept.core.readers import read_table
from genept.report.pairs import BOUNDS, Run

PAIRS = Path("plots/confusion")  # actual and predicted cell type of each test cell, by dataset and model
COLUMNS = ["dataset", "model", "actual", "predicted", "cells", "share"]


def read(run: Run, dataset: str) -> dict[str, pd.DataFrame]:
    """Read the actual and predicted cell types of all rows that were scored by nearest neighbours.

    `InputError` if a file is missing or damaged.
    """
    key = "knn", "cell_type", "random", "accuracy"
    models = [pair.model for pair in run.pairs if pair.dataset == dataset and key in pair.scores]
    columns, stage = dict.fromkeys(("actual", "predicted"), str), f"evaluate@{dataset}"
    tables = {
        model: read_table(PAIRS / dataset / f"{model}.csv", columns, stage, may_be_empty=False) for model in models
    }
    return {model: pd.DataFrame(table)[[*columns]] for model, table in tables.items()}


def counted(pairs: Mapping[str, pd.DataFrame]) -> tuple[list[str], dict[str, pd.DataFrame]]:
    """Return the classes in the order of `relatives` over all models, and the counts of each model in this order.

    What scores lie between has no say in the order: a constant answer makes all classes relatives of one.
    """
    classes = sorted({name for table in pairs.values() for column in table for name in table[column]})
    counts = {
        model: pd.crosstab(table["actual"], table["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
        for model, table in pairs.items()
    }
    deciding = [table.to_numpy() for model, table in counts.items() if model not in BOUNDS]
    summed = np.sum(deciding or [table.to_numpy() for table in counts.values()], axis=0)
    order = [classes[i] for i in relatives(summed)]
    return order, {model: table.loc[order, order] for model, table in counts.items()}


def matrices(dataset: str, pairs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the `actual` and `predicted` classes of each model: a row for each pair that occurs, and for each diagonal.

    ``share`` is of the cells of the actual class. The diagonal of a model comes first, in the order of `counted`, so
    that whoever draws classes in the order of their first row has all of them on both axes, in this order. What scores
    lie between is left out. `dvc plots` writes the table as it is into a script element, which no label may end or turn
    into another: an invisible word joiner follows each ``<``.
    """
    order, counts = counted({model: table for model, table in pairs.items() if model not in BOUNDS})
    rows = []
    for model, table in counts.items():
        sizes = table.sum(axis=1)
        diagonal = [(name, name) for name in order]
        others = [(actual, name) for actual in order for name in order if actual != name and table.at[actual, name]]
        for actual, name in (*diagonal, *others):
            cells = table.at[actual, name]
            rows.append((dataset, model, actual, name, cells, round(cells / max(1, sizes[actual]), 4)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(**{name: table[name].str.replace("<", "<\u2060") for name in ("actual", "predicted")})


def relatives(confusion: np.ndarray) -> list[int]:
    """Order classes so that those that are taken for each other stand together.

    `confusion` counts cells, shape (n_classes, n_classes): rows actual, columns predicted. The distance of two classes
    is 1 less the mean of the shares in which each is taken for the other. Average linkage, leaves ordered so that the
    distances of neighbours add up to the least possible. The same counts give the same order.
    """
    n_classes = len(confusion)
    if n_classes < 3:
        return list(range(n_classes))
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    distances = 1 - (share + share.T) / 2
    np.fill_diagonal(distances, 0)
    return [int(i) for i in leaves_list(linkage(squareform(distances), "average", optimal_ordering=True))]

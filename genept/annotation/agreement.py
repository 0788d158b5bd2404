"""How well the annotated cell types agree with the authors'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, precision_recall_fscore_support

from genept.annotation.markers import UNKNOWN
from genept.core import files

DECIMALS = 4
Scores = dict[str, float | int]


def compare(labels: np.ndarray, types: np.ndarray, names: dict[str, str]) -> tuple[Scores, pd.DataFrame]:
    """Compare annotated types with labels.

    Parameters
    ----------
    labels, types
        The authors' label and the annotated type of each compared cell, shape (n_cells,) of text.
    names
        The authors' label for each type of the marker table. A type without one is compared under its own name, as is
        ``Unknown``: it is wrong unless a label is spelt the same.

    Returns
    -------
    Scores
        ``ari`` and ``ami`` (adjusted Rand index and mutual information of the two partitions; types with one label are
        one part, ``Unknown`` another), ``accuracy``, ``f1_macro`` (mean over the authors' labels), ``share_unknown``
        and ``n_cells``.
    Classes
        A row per label, by name: ``n_cells``, ``precision`` (0 if no cell is called so), ``recall``, ``f1`` and
        ``most_frequent``, the type of the marker table that most of its cells have, the first by name of equal ones.
    """
    labels, types = labels.astype(str), types.astype(str)
    called = np.array([names.get(name, name) for name in types])
    classes = np.unique(labels)
    precision, recall, f1, sizes = precision_recall_fscore_support(labels, called, labels=classes, zero_division=0)
    table = pd.DataFrame(
        {"label": classes, "n_cells": sizes, "precision": precision, "recall": recall, "f1": f1}
        | {"most_frequent": pd.crosstab(labels, types).idxmax(axis=1).to_numpy()}
    )
    scores = {
        "ari": adjusted_rand_score(labels, called),
        "ami": adjusted_mutual_info_score(labels, called),
        "accuracy": (called == labels).mean(),
        "f1_macro": f1.mean(),
        "share_unknown": (types == UNKNOWN).mean(),
    }
    rounded: Scores = {name: round(float(value), DECIMALS) for name, value in scores.items()}
    return {**rounded, "n_cells": len(labels)}, table.round(DECIMALS)


def write(
    folder: Path, metrics: Path, labels: pd.Series, types: pd.Series, names: dict[str, str], unknown: Sequence[str]
) -> Scores:
    """Compare the cells that have both; write ``agreement.csv``, and ``agreement.json`` into `metrics`.

    Nothing is written, and no score returned, if there is no such cell.

    Parameters
    ----------
    labels, types
        Indexed by cell id; missing labels `None`, types empty where quality control left the cell out.
    unknown
        Labels that are no cell type (``evaluate.unknown``); their cells are not compared.
    """
    labels = labels.reindex(types.index)
    compared = (types != "") & labels.notna() & ~labels.isin(unknown)
    if not compared.any():
        return {}
    scores, classes = compare(labels[compared].to_numpy(), types[compared].to_numpy(), names)
    files.write_json(metrics / "agreement.json", scores)
    classes.to_csv(folder / "agreement.csv", index=False, lineterminator="\n", encoding="utf-8")
    return scores

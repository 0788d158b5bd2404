"""How well the cell types of a re-analysis agree with the authors'."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from genept.annotation.marker_table import UNKNOWN

DECIMALS = 4


class Class(NamedTuple):
    """One of the authors' labels: how many of its cells and of the cells called so are right, and what most became."""

    label: str
    n_cells: int
    precision: float
    recall: float
    f1: float
    most_frequent: str


def compare(labels: np.ndarray, types: np.ndarray, names: dict[str, str]) -> tuple[dict[str, float | int], list[Class]]:
    """Compare assigned types with labels.

    Parameters
    ----------
    labels, types
        Of the compared cells, shape (n_cells,) of text.
    names
        What the authors call a type. One that is not listed is compared under its own name, so it is wrong unless a
        label is spelt the same; so is ``Unknown``.

    Returns
    -------
    Scores
        ``ari`` and ``ami`` (of the two partitions, types of one name being one part and ``Unknown`` another),
        ``accuracy``, ``f1_macro`` (mean over the authors' labels), ``share_unknown`` and ``n_cells``.
    Classes
        Per label of the authors, by name; precision is 0 where no cell is called so. The most frequent type is named
        as in the marker table, the first by name of equal ones.
    """
    called = np.array([names.get(name, name) for name in types], dtype=object)
    classes, f1s = [], []
    for label in sorted(set(labels)):
        is_label, is_called = labels == label, called == label
        right = int((is_label & is_called).sum())
        precision, recall = right / max(int(is_called.sum()), 1), right / int(is_label.sum())
        f1 = 2 * right / int(is_label.sum() + is_called.sum())
        found, numbers = np.unique(types[is_label].astype(str), return_counts=True)
        most_frequent = str(found[numbers.argmax()])
        rounded = Class(
            str(label),
            int(is_label.sum()),
            round(precision, DECIMALS),
            round(recall, DECIMALS),
            round(f1, DECIMALS),
            most_frequent,
        )
        classes.append(rounded)
        f1s.append(f1)
    scores = {
        "ari": adjusted_rand_score(labels.astype(str), called.astype(str)),
        "ami": adjusted_mutual_info_score(labels.astype(str), called.astype(str)),
        "accuracy": float((called == labels).mean()),
        "f1_macro": float(np.mean(f1s)),
        "share_unknown": float((types == UNKNOWN).mean()),
    }
    return {**{name: round(float(value), DECIMALS) for name, value in scores.items()}, "n_cells": len(labels)}, classes

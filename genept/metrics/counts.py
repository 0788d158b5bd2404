"""Scores of predicted classes, from counts of cells: of all splits, or of all resamples of donors, at once."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Average = Literal["macro", "frequent", "weighted", "balanced"]


TINY = 1e-9  # cells


class Counts(NamedTuple):
    """Cells of each class, float64 of shape (..., n_classes): with that label, given that label, and both."""

    actual: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray

    def draw(self, number: int) -> Counts:
        """Return the counts of one draw, drawn again from the first after the last: (n_draws, ...) to (...)."""
        return Counts(*(numbers[number % len(numbers)] for numbers in self))

    def over(self, weights: np.ndarray) -> Counts:
        """Add up groups of cells, (n_groups, n_classes), by weights, (n_sums, n_groups): (n_sums, n_classes)."""
        return Counts(*(weights @ number for number in self))


def resample(by_donor: Counts, weights: np.ndarray) -> tuple[Counts, np.ndarray]:
    """Add up donors, (n_donors, n_classes), by weights, (n_resamples, n_donors), and tell which sums lack a class.

    An average over classes must be of the same classes in every resample. A class of one donor, which is never right
    when that donor is held out, stays in them with next to no cell; without another class a resample is of no use.
    """
    sums = by_donor.over(weights)
    n_with = (by_donor.actual > 0).sum(axis=0)
    absent = sums.actual == 0
    lacks = (absent & (n_with > 1)).any(axis=1)
    return sums._replace(actual=np.where(absent & (n_with == 1), TINY, sums.actual)), lacks


def count(
    actual: np.ndarray, predicted: np.ndarray, n_classes: int, groups: np.ndarray | None = None, n_groups: int = 1
) -> Counts:
    """Count cells, given their classes as codes, shape (n_cells,); with `groups`, codes as well, for each group.

    Returns counts of shape (n_classes,) or (n_groups, n_classes).
    """
    first = np.zeros(len(actual), dtype=np.intp) if groups is None else groups
    n_groups = max(n_groups, int(first.max(initial=0)) + 1)

    def table(codes: np.ndarray, cells: np.ndarray | slice) -> np.ndarray:
        numbers = np.bincount(first[cells] * n_classes + codes[cells], minlength=n_groups * n_classes)
        by_group = numbers.reshape(n_groups, n_classes).astype(np.float64)
        return by_group[0] if groups is None else by_group

    everything = slice(None)
    return Counts(table(actual, everything), table(predicted, everything), table(actual, actual == predicted))


def left_out(by_group: Counts) -> Counts:
    """Return the counts of all cells but those of each group, (n_groups, n_classes) both."""
    return Counts(*(own.sum(axis=0) - own for own in by_group))


def stack(runs: list[Counts]) -> Counts:
    """Put the counts of several runs into one, runs first."""
    return Counts(*map(np.stack, zip(*runs, strict=True)))


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; 0 without a denominator, as scikit-learn's ``zero_division=0``."""
    return np.asarray(numerator / np.where(denominator > 0, denominator, np.inf))


def precision(counts: Counts) -> np.ndarray:
    """Return the share of the cells given a label that have it, for each class."""
    return divide(counts.hits, counts.predicted)


def recall(counts: Counts) -> np.ndarray:
    """Return the share of the cells with a label that were given it, for each class."""
    return divide(counts.hits, counts.actual)


def f1(counts: Counts) -> np.ndarray:
    """Return the harmonic mean of precision and recall, for each class."""
    return divide(2 * counts.hits, counts.actual + counts.predicted)


def accuracy(counts: Counts, min_cells: int = 1) -> np.ndarray:
    """Return the share of cells with the right label, shape (...,)."""
    return divide(counts.hits.sum(axis=-1), counts.actual.sum(axis=-1))


OF_CLASS = {"precision": precision, "recall": recall, "f1": f1}


def average(counts: Counts, min_cells: int, of: str, over: Average) -> np.ndarray:
    """Average a score of `OF_CLASS` over classes, shape (...,); NaN where no class takes part.

    ``macro``: over the classes that a cell has or was given, as scikit-learn does and the paper prints. ``frequent``:
    over those with at least `min_cells` cells, since one cell of a rare class can move a
    macro average by 1 / n_classes.
    ``balanced``: over those that a cell has; of recall, scikit-learn's ``balanced_accuracy_score``. ``weighted``: by
    the cells of each class.
    """
    weights = {
        "macro": counts.actual + counts.predicted > 0,
        "frequent": counts.actual >= min_cells,
        "balanced": counts.actual > 0,
        "weighted": counts.actual,
    }[over].astype(np.float64)
    total = weights.sum(axis=-1)
    return np.where(total > 0, divide(np.einsum("...c,...c", OF_CLASS[of](counts), weights), total), np.nan)

"""Table C4: predicting a test cell's label from the training cells nearest to it."""

from __future__ import annotations

import numpy as np

from genept.core import threads

BLOCK = 1 << 22  # distances held at once by a thread: 32 MiB
DECIMALS = 10  # distances that agree so far are equal: a matrix product's last bits differ between equal cells


def nearest(train: np.ndarray, test: np.ndarray, k: int, metric: str = "cosine") -> np.ndarray:
    """Find each test cell's `k` nearest training cells, exactly.

    The authors search approximately (hnswlib, cosine, M=16, ef_construction=200, ef=50); an exact search needs neither
    index nor seed, and takes seconds at the size of their sets. Of equally distant cells at the k-th place the ones
    with the lower row number are taken. The cosine distance to a cell with all coordinates zero is 1.

    Parameters
    ----------
    train
        Shape (n_train, n_dimensions), float64.
    test
        Shape (n_test, n_dimensions), float64.
    k
        Neighbours wanted; with fewer training cells, all are taken.
    metric
        ``cosine`` or ``euclidean``.

    Returns
    -------
    Row numbers in `train`, ascending in each row, not by distance; shape (n_test, min(k, n_train)).
    """
    k = min(k, len(train))
    if metric == "cosine":
        train, test = unit_rows(train), unit_rows(test)
    else:
        centre = train.mean(axis=0)
        train, test = train - centre, test - centre
        unit = np.linalg.norm(train, axis=1).max() or 1.0  # so that rounding is relative to the cloud's size
        train, test = train / unit, test / unit
    # a test cell's own length does not change the order of its neighbours
    squares = np.zeros(len(train)) if metric == "cosine" else np.einsum("ij,ij->i", train, train)
    test = -test if metric == "cosine" else -2 * test
    step = max(1, BLOCK // len(train))

    def block(start: int) -> np.ndarray:
        distances = test[start : start + step] @ train.T
        distances += squares
        return smallest(distances, k)

    return np.concatenate([np.empty((0, k), dtype=np.intp), *threads.each(block, range(0, len(test), step))])


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(lengths > 0, lengths, 1)


def smallest(distances: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of each row's `k` smallest values, ascending; of values equal to `DECIMALS` the lower column.

    Only values near the k-th smallest are rounded, which gives the same as rounding all of them.
    """
    last = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    rows, columns = np.nonzero(distances <= last + 10.0**-DECIMALS)
    values, last = np.round(distances[rows, columns], DECIMALS), np.round(last[:, 0], DECIMALS)
    closer, tied = values < last[rows], values == last[rows]
    n_closer = np.bincount(rows[closer], minlength=len(distances))
    n_tied = np.cumsum(tied)  # in the row up to here, once those of earlier rows are taken off
    firsts = np.searchsorted(rows, np.arange(len(distances)))
    n_tied -= (n_tied[firsts] - tied[firsts])[rows]
    taken = closer | (tied & (n_tied <= (k - n_closer)[rows]))
    return columns[taken].reshape(len(distances), k)


def vote(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Give each test cell the label that most of its neighbours have.

    Ties go to the smallest label in sorted (text) order, as in the authors' notebook.

    Parameters
    ----------
    labels
        Labels of the training cells, shape (n_train,).
    neighbours
        Row numbers in `labels`, shape (n_test, k).

    Returns
    -------
    Shape (n_test,).
    """
    classes, codes = np.unique(labels, return_inverse=True)
    n_test = len(neighbours)
    slots = np.arange(n_test)[:, None] * len(classes) + codes[neighbours]
    votes = np.bincount(slots.ravel(), minlength=n_test * len(classes)).reshape(n_test, len(classes))
    return classes[votes.argmax(axis=1)]


def majority(predictions: np.ndarray, tie: str) -> np.ndarray:
    """Combine the predictions of several models by majority vote, the paper's ensemble.

    The paper does not say what happens when all three members differ. Here the vote of the member that is listed first
    counts (`tie` ``first``), or the smallest of the tied labels in sorted order (``smallest``). With more members the
    rule decides among the labels that got the most votes.

    Parameters
    ----------
    predictions
        Labels, shape (n_members, n_cells), n_members at least 1.

    Returns
    -------
    Shape (n_cells,).
    """
    votes = (predictions[:, None, :] == predictions[None, :, :]).sum(axis=0)  # (member, cell): who agrees with it
    winning = votes == votes.max(axis=0)
    if tie == "first":
        return predictions[winning.argmax(axis=0), np.arange(predictions.shape[1])]
    ordered = np.sort(np.unique(predictions))
    codes = np.searchsorted(ordered, predictions)
    return ordered[np.where(winning, codes, len(ordered)).min(axis=0)]

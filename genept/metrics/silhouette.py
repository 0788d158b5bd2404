"""Table 2: the silhouette width of the annotation itself, for many annotations in one pass over the distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genept.core import threads

TILE = 512  # cells on either side of the distances held at once: 2 MiB, a core's cache
SHARES = 16


def average_widths(matrix: np.ndarray, labelings: Sequence[np.ndarray]) -> list[float]:
    """Return the average silhouette width (ASW) of each labeling.

    Equal to scikit-learn's unscaled ``silhouette_score`` (euclidean, from -1 to 1; a cell alone in its class counts 0),
    as in the paper; benchmarks such as scIB rescale it to 0 to 1. Distances come from a matrix product, and only their
    sums per class are kept, so that several annotations share one pass and memory does not grow with n_cells squared.

    Parameters
    ----------
    matrix
        Shape (n_cells, n_dimensions), float64.
    labelings
        Each of shape (n_cells,): the class as a code from 0 without gaps, or -1 for a cell that is left out. At least
        two classes, and fewer classes than cells.

    Returns
    -------
    One value per labeling.
    """
    sizes = [np.bincount(codes[codes >= 0]) for codes in labelings]
    members = np.concatenate(
        [codes[:, None] == np.arange(len(size)) for codes, size in zip(labelings, sizes, strict=True)], axis=1
    ).astype(np.float64)
    sums = distance_sums(matrix, members)  # (n_cells, classes of all labelings)
    first = np.cumsum([0, *map(len, sizes)])
    return [
        float(widths(sums[codes >= 0, start : start + len(size)], codes[codes >= 0], size).mean())
        for codes, size, start in zip(labelings, sizes, first, strict=False)
    ]


def distance_sums(matrix: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Sum each cell's euclidean distances to the members of each class: shape (n_cells, n_classes).

    Every distance is computed once and counts for both its cells. The tiles are dealt out to `SHARES` sums, which are
    added in their order, so that threads decide when a tile is computed, not what is added to what.
    """
    centred = matrix - matrix.mean(axis=0)  # near-parallel vectors would lose digits in the subtraction below
    squares = np.einsum("ij,ij->i", centred, centred)
    tiles = [slice(start, min(start + TILE, len(matrix))) for start in range(0, len(matrix), TILE)]

    def share(first: int) -> np.ndarray:
        sums = np.zeros((len(matrix), members.shape[1]))
        for number in range(first, len(tiles), SHARES):
            rows = tiles[number]
            for columns in tiles[number:]:
                distances = centred[rows] @ centred[columns].T
                distances *= -2
                distances += squares[rows, None]
                distances += squares[columns]
                np.sqrt(distances.clip(min=0, out=distances), out=distances)
                if columns is rows:
                    np.fill_diagonal(distances, 0)
                else:
                    sums[columns] += distances.T @ members[rows]
                sums[rows] += distances @ members[columns]
        return sums

    total = np.zeros((len(matrix), members.shape[1]))
    for sums in threads.each(share, range(min(SHARES, len(tiles)))):
        total += sums
    return total


def widths(sums: np.ndarray, codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return each cell's silhouette width from its distances' sums per class, shape (n_cells, n_classes)."""
    cell = np.arange(len(codes))
    own_size = sizes[codes]
    within = sums[cell, codes] / np.maximum(own_size - 1, 1)
    means = sums / sizes
    means[cell, codes] = np.inf
    nearest_other = means.min(axis=1)
    larger = np.maximum(within, nearest_other)
    defined = (own_size > 1) & (larger > 0)
    return np.divide(nearest_other - within, larger, out=np.zeros(len(codes)), where=defined)

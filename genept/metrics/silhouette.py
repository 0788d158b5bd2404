"""Table 2: silhouette widths of annotations, all of them in one pass over the distances.

Our own, because it is faster: three annotations of 10,000 x 1,536 cells take 9 s on two busy cores, scikit-learn's
``silhouette_score`` 37 s. Memory does not grow with n_cells squared.
"""

from __future__ import annotations

import numpy as np

from genept.core import compute

TILE = 512  # cells on either side of the distances held at once: 2 MiB, a core's cache
SHARES = 16


def average_widths(matrix: np.ndarray, labelings: np.ndarray) -> list[float]:
    """Return the average silhouette width (ASW) of each annotation.

    Equal to scikit-learn's unscaled ``silhouette_score`` (euclidean, from -1 to 1; a cell alone in its class counts 0),
    as in the paper; benchmarks such as scIB rescale it to 0 to 1.

    Parameters
    ----------
    matrix
        Shape (n_cells, n_dimensions), float64.
    labelings
        Shape (n_annotations, n_cells): the class as a code from 0 without gaps, or -1 for a cell that is left out. At
        least two classes, and fewer classes than cells.
    """
    used = (labelings >= 0).any(axis=0)
    matrix, labelings = matrix[used], labelings[:, used]
    sizes = [np.bincount(codes[codes >= 0]) for codes in labelings]
    members = np.concatenate(
        [codes[:, None] == np.arange(len(size)) for codes, size in zip(labelings, sizes, strict=True)], axis=1
    ).astype(np.float64)
    sums = np.split(distance_sums(matrix, members), np.cumsum([len(size) for size in sizes])[:-1], axis=1)
    return [
        float(widths(of_classes[codes >= 0], codes[codes >= 0], size).mean())
        for of_classes, codes, size in zip(sums, labelings, sizes, strict=True)
    ]


def distance_sums(matrix: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Sum each cell's euclidean distances to the members of each class: shape (n_cells, n_classes).

    Each distance is computed once and counts for both its cells. The tiles are dealt out to `SHARES` sums, which are
    added in their order, so that the number of threads does not change what is added to what.
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
    for sums in compute.each(share, range(min(SHARES, len(tiles)))):
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

"""Neighbours balanced over batches, so that cells of one type are joined whichever batch they are from.

As BBKNN (Polanski et al. 2020, Bioinformatics 36:964): the neighbours of a cell are its nearest cells within each
batch, the same number from each; edges get UMAP's weights. Here the search is exact, and edges are not trimmed.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

LEAST = 3  # neighbours per batch, as in BBKNN
SPARE = 8  # more candidates are asked for, so that equal distances are decided here


def per_batch(n_neighbors: int, n_batches: int) -> int:
    """Return how many neighbours each batch gives: an equal part of all, rounded down, and at least `LEAST`."""
    return max(LEAST, n_neighbors // n_batches)


def balanced(points: np.ndarray, batches: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find each cell's nearest cells within every batch, itself included in its own.

    Parameters
    ----------
    points
        Shape (n_cells, n_dimensions).
    batches
        Each cell's batch, shape (n_cells,).
    n_neighbors
        In all; see `per_batch`. A batch with fewer cells gives those it has.

    Returns
    -------
    Indices and Euclidean distances, shape (n_cells, sum over batches), nearest first and equal ones in the order of
    the cells. Distances are sums over differences in float64, so that equal cells are at distance 0.
    """
    names = np.unique(batches)
    share = per_batch(n_neighbors, len(names))
    found = [nearest(points, np.flatnonzero(batches == name), share) for name in names]
    return in_order(np.hstack([part[0] for part in found]), np.hstack([part[1] for part in found]))


def nearest(points: np.ndarray, members: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the cells among `members`, ascending indices, that are nearest to each cell: indices and distances."""
    from sklearn.neighbors import NearestNeighbors

    n_neighbors = min(n_neighbors, len(members))
    search = NearestNeighbors(n_neighbors=min(n_neighbors + SPARE, len(members)), algorithm="brute")
    indices = members[search.fit(points[members]).kneighbors(points, return_distance=False)]
    distances = np.empty(indices.shape)
    for column in range(indices.shape[1]):
        distances[:, column] = np.sqrt(((points - points[indices[:, column]]) ** 2).sum(axis=1))
    indices, distances = in_order(indices, distances)
    return indices[:, :n_neighbors], distances[:, :n_neighbors]


def in_order(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row by distance, then by index."""
    order = np.lexsort((indices, distances))
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def weights(indices: np.ndarray, distances: np.ndarray) -> csr_matrix:
    """Return UMAP's connectivities, shape (n_cells, n_cells), symmetric, from 0 to 1."""
    from genept.data import umap as layout

    layout._umap()  # keeps UMAP's compiled functions between processes
    from umap.umap_ import fuzzy_simplicial_set

    n_cells, n_neighbors = indices.shape
    graph = fuzzy_simplicial_set(
        coo_matrix((n_cells, 1)),  # only its number of rows is read, the neighbours being known
        n_neighbors,
        random_state=None,
        metric="euclidean",
        knn_indices=indices,
        knn_dists=distances.astype(np.float32),
    )[0]
    return graph.tocsr()

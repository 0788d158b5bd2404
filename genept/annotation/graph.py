"""The graph of neighbours: balanced over batches, so that a type's cells are joined whichever batch they are from.

As BBKNN (Polanski et al. 2020, Bioinformatics 36:964): a cell's neighbours are its nearest cells within each batch, the
same number from each; edges get UMAP's weights. Deviations: the search is exact, and edges are not trimmed. Of very
many cells, those that are drawn make the graph (`extend`).
"""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import scanpy
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from genept.core.compute import MOST_PARTS, import_umap
from genept.core.pace import Pace

MIN_PER_BATCH = 3  # neighbours, as in BBKNN
CELLS_AT_ONCE = 20_000  # whose neighbours are found
SPARE = 8  # more candidates than neighbours, so that ties are broken here and not by rounding in the search


def per_batch(n_neighbors: int, n_batches: int) -> int:
    """Return how many neighbours each batch gives: an equal part of all, rounded down, at least `MIN_PER_BATCH`."""
    return max(MIN_PER_BATCH, n_neighbors // n_batches)


def balanced_neighbors(points: np.ndarray, batches: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find each cell's nearest cells within every batch, itself included in its own.

    `points` have shape (n_cells, n_dimensions), `batches` (n_cells,); `n_neighbors` are those of all batches, see
    `per_batch`, and a batch with fewer cells gives those it has. Returns indices and Euclidean distances, shape
    (n_cells, sum over batches), nearest first, equal distances in the order of the cells. Distances are sums over
    differences in float64, so that equal cells are at distance 0.
    """
    names = np.unique(batches)
    share = per_batch(n_neighbors, len(names))
    found = [nearest(points, np.flatnonzero(batches == name), share) for name in names]
    return sort_rows(np.hstack([indices for indices, _ in found]), np.hstack([distances for _, distances in found]))


def nearest(
    points: np.ndarray, members: np.ndarray, n_neighbors: int, asked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the cells among `members`, ascending indices, that are nearest to each cell, or to those `asked`.

    Returns indices and distances. scikit-learn finds the candidates. It orders ties by the rounding of its products, so
    the order is made here.
    """
    n_neighbors = min(n_neighbors, len(members))
    search = NearestNeighbors(n_neighbors=min(n_neighbors + SPARE, len(members)), algorithm="brute")
    own = points if asked is None else points[asked]
    candidates = members[search.fit(points[members]).kneighbors(own, return_distance=False)]
    distances = [np.sqrt(((own - points[column]) ** 2).sum(axis=1)) for column in candidates.T]
    indices, ordered = sort_rows(candidates, np.column_stack(distances))
    return indices[:, :n_neighbors], ordered[:, :n_neighbors]


def sort_rows(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row by distance, then by index."""
    order = np.lexsort((indices, distances))
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def connect(indices: np.ndarray, distances: np.ndarray) -> csr_matrix:
    """Return UMAP's connectivities, shape (n_cells, n_cells), symmetric, from 0 to 1."""
    import_umap()
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


def cluster(graph: csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Return each cell's Leiden cluster, shape (n_cells,), from 0, the largest first."""
    cells = anndata.AnnData(obs=pd.DataFrame(index=np.arange(graph.shape[0]).astype(str)))
    scanpy.tl.leiden(
        cells, resolution, random_state=seed, adjacency=graph, flavor="igraph", n_iterations=2, directed=False
    )
    return by_size(cells.obs["leiden"].to_numpy().astype(int))


def extend(points: np.ndarray, drawn: np.ndarray, codes: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Give each cell that was not drawn the cluster of most of its nearest drawn cells, of equal ones the nearest's.

    `points` are of all cells, `codes` the clusters of those `drawn`, ascending indices. Returns the clusters of all.
    """
    found = np.empty(len(points), dtype=codes.dtype)
    found[drawn] = codes
    others = np.setdiff1d(np.arange(len(points)), drawn, assume_unique=True)
    with Pace("clusters of the other cells", len(others)) as pace:
        for start in range(0, len(others), CELLS_AT_ONCE):
            some = others[start : start + CELLS_AT_ONCE]
            near = found[nearest(points, drawn, n_neighbors, some)[0]]
            votes = (near[:, :, None] == near[:, None, :]).sum(axis=2)
            found[some] = np.take_along_axis(near, votes.argmax(axis=1)[:, None], axis=1)[:, 0]
            pace.add(len(some))
    return found


def by_size(codes: np.ndarray) -> np.ndarray:
    """Renumber clusters from 0 by size; of equal ones, the one of the first cell comes first."""
    _, firsts, inverse, sizes = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    ranks = np.argsort(np.lexsort((firsts, -sizes)))
    return ranks[inverse]


def lay_out(points: np.ndarray, graph: csr_matrix, n_neighbors: int, n_epochs: int, seed: int) -> np.ndarray:
    """Return UMAP coordinates of a graph, shape (n_cells, 2); ``min_dist`` 0.5 and ``spread`` 1, as in the paper.

    A graph of more than `genept.core.compute.MOST_PARTS` separate groups starts from the first two columns of `points`.
    """
    cells = anndata.AnnData(obs=pd.DataFrame(index=np.arange(len(points)).astype(str)), obsm={"points": points})
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "n_neighbors": n_neighbors, "use_rep": "points"},
    }
    few_parts = connected_components(graph, directed=False, return_labels=False) <= MOST_PARTS
    start = "spectral" if few_parts else points[:, :2].astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]raph is not fully connected")
        scanpy.tl.umap(cells, min_dist=0.5, spread=1.0, maxiter=n_epochs, init_pos=start, random_state=seed)
    return cells.obsm["X_umap"]

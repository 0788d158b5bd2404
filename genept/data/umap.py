"""UMAP coordinates as in the paper: PCA to 50 components, then ``umap.UMAP(min_dist=0.5, spread=1)``."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from sklearn.decomposition import PCA  # here, because a limit on threads holds only for libraries already loaded
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

# Fewer cells than this have no neighbourhoods worth the name, and UMAP's spectral start needs a few.
MIN_CELLS = 10


def coordinates(
    matrix: np.ndarray,
    n_components_pca: int,
    n_neighbors: int,
    min_dist: float,
    spread: float,
    n_epochs: int | None,
    seed: int,
) -> np.ndarray:
    """Lay out cells in two dimensions.

    Parameters
    ----------
    matrix
        An embedding, shape (n_cells, n_dimensions).
    n_components_pca
        Principal components kept before UMAP; fewer if cells or dimensions are fewer.
    n_neighbors, min_dist, spread, n_epochs
        As in `umap.UMAP`. A cell and `n_neighbors` - 1 others make its neighbourhood; fewer if cells are fewer.
    seed
        Fixes PCA's and UMAP's random draws; UMAP then runs in one thread.

    Returns
    -------
    np.ndarray
        Shape (n_cells, 2), float32. Below `MIN_CELLS` cells these are the first two principal components.

    Notes
    -----
    One deviation from the authors: the nearest neighbours are exact at every size and given to UMAP, which itself
    computes them exactly below 4,096 cells and approximately above. Equal inputs give equal bytes on one kind of CPU;
    on another the last bits of a product differ, and UMAP amplifies them.
    """
    with threadpool_limits(limits=1):
        components = principal_components(np.asarray(matrix, dtype=np.float32), n_components_pca, seed)
        if len(components) < MIN_CELLS:
            return _two_columns(components)
        n_neighbors = min(n_neighbors, len(components) - 1)
        UMAP = _umap()
        with warnings.catch_warnings():
            # Says that new cells could not be added later, since no search index comes with the neighbours.
            warnings.filterwarnings("ignore", message="precomputed_knn")
            # Says that disconnected groups of cells are placed by their centroids.
            warnings.filterwarnings("ignore", message=".*[Gg]raph is not fully connected")
            layout: Any = UMAP(
                n_neighbors=n_neighbors,
                min_dist=min_dist,
                spread=spread,
                n_epochs=n_epochs,
                random_state=seed,
                n_jobs=1,
                precomputed_knn=nearest_neighbors(components, n_neighbors),
            )
            return np.ascontiguousarray(layout.fit_transform(components), dtype=np.float32)


def principal_components(matrix: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """Project cells on their first principal components, with scikit-learn's defaults as the authors."""
    if len(matrix) < 2:
        return np.zeros((len(matrix), 1), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # identical cells have no variance to take a share of
        return PCA(min(n_components, *matrix.shape), random_state=seed).fit_transform(matrix)


def nearest_neighbors(points: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Find each point's nearest points, itself included, exactly: indices and Euclidean distances, nearest first."""
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points)
    distances, indices = search.kneighbors(points)
    return indices.astype(np.int32), distances.astype(np.float32)


def _two_columns(components: np.ndarray) -> np.ndarray:
    """Cut or pad principal components to two columns."""
    columns = components[:, :2].astype(np.float32)
    return np.pad(columns, ((0, 0), (0, 2 - columns.shape[1])))


def _umap() -> Any:
    """Import UMAP with its compiled functions kept between processes: 5 s less in each process but the first."""
    from umap import UMAP, layouts, umap_

    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        with contextlib.suppress(RuntimeError, AttributeError):  # no writable place to keep them
            function.enable_caching()
    return UMAP

"""UMAP coordinates as in the paper: PCA to 50 components, then ``umap.UMAP(min_dist=0.5, spread=1)``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA  # here, because a limit on threads holds only for libraries already loaded
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from genept.core import files
from genept.core.compute import MOST_PARTS, import_umap
from genept.core.errors import InputError
from genept.core.params import Plot
from genept.core.readers import read_matrix
from genept.data.cells import DATA

MIN_CELLS = 10  # fewer have no neighbourhoods worth the name, and UMAP's spectral start needs a few
CACHE = DATA / "cache" / "umap"
CACHED_LAYOUTS = 500


def folder(dataset: str) -> Path:
    """Folder of ``<model>.npy``: float32, a row per labelled cell, NaN for cells not drawn."""
    return DATA / dataset / "umap"


def cached_coordinates(matrix: np.ndarray, settings: Plot) -> np.ndarray:
    """Return `coordinates`, computed once per embedding and settings; another version of this file computes anew.

    A damaged layout counts as not there.
    """
    options = settings.model_dump(exclude={"above"})
    versions = (files.sha256(Path(__file__)), version("umap-learn"))
    described = json.dumps([options, versions, matrix.shape, str(matrix.dtype)]).encode()
    path = files.shared(CACHE) / f"{hashlib.sha256(described + np.ascontiguousarray(matrix).tobytes()).hexdigest()}.npy"
    with contextlib.suppress(InputError, FileNotFoundError):
        layout = np.array(read_matrix(path, "it is computed anew"))
        if layout.shape == (len(matrix), 2):
            path.touch()
            return layout
    layout = coordinates(matrix, **options)
    with files.replacing(path) as temporary:
        np.save(temporary, layout, allow_pickle=False)
    with contextlib.suppress(FileNotFoundError):  # where another process removes, too
        for old in sorted(path.parent.glob("*.npy"), key=lambda other: other.stat().st_mtime)[:-CACHED_LAYOUTS]:
            old.unlink()
    return layout


def coordinates(
    matrix: np.ndarray,
    n_components_pca: int,
    n_neighbors: int,
    min_dist: float,
    spread: float,
    n_epochs: int | None,
    seed: int,
) -> np.ndarray:
    """Lay out the cells of an embedding, shape (n_cells, n_dimensions), in two dimensions: (n_cells, 2), float32.

    UMAP reads at most `n_components_pca` principal components; its own settings are as in `umap.UMAP`. Below
    `MIN_CELLS` cells the layout is the first two principal components.

    Two deviations from the authors. The nearest neighbours are exact at every size and given to UMAP, which itself
    computes them exactly below 4,096 cells and approximately above. Equal inputs give equal bytes on one kind of CPU;
    on another the last bits of a product differ, and UMAP amplifies them. And where the neighbours make more than
    `genept.core.compute.MOST_PARTS` separate groups, as copies of cells do, the layout starts from principal
    components: UMAP's spectral start takes each group for itself, and for thousands of groups it does not end.
    """
    with threadpool_limits(limits=1):
        components = principal_components(np.asarray(matrix, dtype=np.float32), n_components_pca, seed)
        if len(components) < MIN_CELLS:
            columns = components[:, :2].astype(np.float32)
            return np.pad(columns, ((0, 0), (0, 2 - columns.shape[1])))
        n_neighbors = min(n_neighbors, len(components) - 1)
        distances, indices = (
            NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(components).kneighbors(components)
        )
        UMAP = import_umap()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="precomputed_knn")  # no search index to add cells later
            warnings.filterwarnings("ignore", message=".*[Gg]raph is not fully connected")  # centroids place its parts
            umap = UMAP(
                init="spectral" if n_parts(indices) <= MOST_PARTS else "pca",
                n_neighbors=n_neighbors,
                min_dist=min_dist,
                spread=spread,
                n_epochs=n_epochs,
                random_state=seed,
                n_jobs=1,
                precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32)),
            )
            return np.ascontiguousarray(umap.fit_transform(components), dtype=np.float32)


def n_parts(indices: np.ndarray) -> int:
    """Return the number of groups of cells between which no cell is a neighbour; (n_cells, n_neighbors)."""
    n_cells, n_neighbors = indices.shape
    starts = np.arange(0, indices.size + 1, n_neighbors)
    graph = csr_matrix((np.ones(indices.size, dtype=np.int8), indices.ravel(), starts), shape=(n_cells, n_cells))
    return int(connected_components(graph, directed=False)[0])


def principal_components(matrix: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """Project cells on their first principal components, with scikit-learn's defaults as the authors."""
    if len(matrix) < 2:
        return np.zeros((len(matrix), 1), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # identical cells have no variance to take a share of
        return PCA(min(n_components, *matrix.shape), random_state=seed).fit_transform(matrix)

"""Principal components, exact, and the same on any number of cores; of many cells see `genept.data.covariance`."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, issparse

from genept.core.errors import InputError


def principal_components(x: csr_matrix | np.ndarray, n_components: int) -> np.ndarray:
    """Project cells on their first principal components, exactly: genes are centred, not scaled.

    ARPACK iterates to machine precision in float64, from a fixed start and on one thread; a sparse matrix stays sparse.
    scikit-learn fixes the signs: of each component's loadings, the one with the largest absolute value is positive.

    Returns scores, shape (n_cells, n_components), float64, largest variance first; of `x`, shape (n_cells, n_genes), at
    most its smaller side, or one less if it is sparse.
    """
    return fit(x, n_components)[0]


def fit(x: csr_matrix | np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `principal_components` does, and the axes, (n_genes, n_components), and means to `project` others."""
    from sklearn.decomposition import PCA  # loaded before the limit, which holds for loaded libraries only
    from threadpoolctl import threadpool_limits

    smaller = min(x.shape)
    n_components = min(n_components, smaller - 1 if issparse(x) else smaller)
    if not n_components:
        raise InputError(
            f"{x.shape[0]} cells of {x.shape[1]} genes have no principal components; two are needed of each"
        )
    solver = "arpack" if n_components < smaller else "full"
    with threadpool_limits(1):
        pca = PCA(n_components, svd_solver=solver, random_state=0)
        scores = pca.fit_transform(x.astype(np.float64))
    return scores, pca.components_.T, pca.mean_


def project(x: csr_matrix, axes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the scores of cells on components of others, float64 of shape (n_cells, n_components)."""
    return x.astype(np.float64) @ axes - mean @ axes

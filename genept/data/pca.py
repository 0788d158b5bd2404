"""Exact principal components of a large sparse matrix, the same on any number of cores."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, svds
from threadpoolctl import threadpool_limits


def principal_components(x: csr_matrix, n_components: int) -> np.ndarray:
    """Exact PCA of a sparse matrix: genes are centred, not scaled, and nothing as large as `x` is made dense.

    Lanczos iterations to machine precision in float64, from a fixed start and on one thread, so that equal input gives
    equal output on any number of cores. Signs are fixed as in scikit-learn's `PCA`: of each component's loadings, the
    one with the largest absolute value is positive.

    Parameters
    ----------
    x
        Shape (n_cells, n_genes).
    n_components
        At most one less than the smaller side of `x` is returned.

    Returns
    -------
    np.ndarray
        Scores, shape (n_cells, n_components), float64, largest variance first.
    """
    x = x.astype(np.float64)
    transposed = x.T.tocsr()  # row by row is faster than scattering into the columns of x
    mean = np.asarray(x.mean(axis=0)).ravel()
    centred = LinearOperator(
        x.shape,
        dtype=x.dtype,
        matvec=lambda v: x @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda u: transposed @ u.ravel() - mean * u.sum(),
    )
    start = np.random.default_rng(0).standard_normal(min(x.shape))
    with threadpool_limits(1):
        _, values, loadings = svds(centred, k=min(n_components, min(x.shape) - 1), v0=start)
        loadings = loadings[np.argsort(-values)]
        largest = np.abs(loadings).argmax(axis=1)
        loadings *= np.sign(loadings[np.arange(len(loadings)), largest])[:, np.newaxis]
        return x @ loadings.T - mean @ loadings.T

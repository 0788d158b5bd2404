"""Log-normalised expression, reduced by PCA: the baseline, and the example to copy for a model of your own.

To add a model: an entry under ``models:`` in params.yaml, its name in ``grid.models``, and a file like this one with a
function ``embed``. ``stages/embed/__init__.py`` says what it gets and what it returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, svds
from threadpoolctl import threadpool_limits

from stages.expression import coverage, log_normalise


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the first ``n_components`` principal components of log-normalised expression, and notes."""
    scores = principal_components(log_normalise(cells), options.get("n_components", 50))
    notes = coverage(cells, known=np.ones(cells.n_vars, dtype=bool))
    return scores.astype(np.float32), {**notes, "comparable": True}


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

"""Principal components of any number of cells, exact, and the same on any number of cores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix, issparse

from genept.core import compute

PANEL = 512  # genes whose products with all genes are added at a time


def principal_components(x: csr_matrix | np.ndarray, n_components: int) -> np.ndarray:
    """Project cells on their first principal components, exactly: genes are centred, not scaled.

    ARPACK iterates to machine precision in float64, from a fixed start and on one thread; a sparse matrix stays sparse.
    scikit-learn fixes the signs: of each component's loadings, the one with the largest absolute value is positive.

    Returns scores, shape (n_cells, n_components), float64, largest variance first; of `x`, shape (n_cells, n_genes), at
    most its smaller side, or one less if it is sparse.
    """
    from sklearn.decomposition import PCA  # loaded before the limit, which holds for loaded libraries only
    from threadpoolctl import threadpool_limits

    smaller = min(x.shape)
    n_components = min(n_components, smaller - 1 if issparse(x) else smaller)
    solver = "arpack" if n_components < smaller else "full"
    with threadpool_limits(1):
        return PCA(n_components, svd_solver=solver, random_state=0).fit_transform(x.astype(np.float64))


def add_products(sums: dict[str, np.ndarray], x: csr_matrix) -> None:
    """Add cells to ``totals`` of genes, shape (n_genes,), and ``products`` of all pairs of genes; make them if missing.

    Of the products, which are symmetric, a panel of `PANEL` genes after the other is kept, each with the genes from its
    first on: 0.6 GB for 12,000 genes, however many cells. `x` is (n_cells, n_genes), float32. Each panel is computed by
    one thread, so sums do not depend on the number of threads.
    """
    from threadpoolctl import threadpool_limits

    n_genes = x.shape[1]
    if not sums:
        sums["totals"] = np.zeros(n_genes)
        sums["products"] = np.zeros(sum((stop - start) * (n_genes - start) for start, stop in bounds(n_genes)))
    values = x.astype(np.float64).toarray()
    sums["totals"] += values.sum(axis=0)

    def add(start: int, stop: int, products: np.ndarray) -> None:
        products += values[:, start:stop].T @ values[:, start:]

    with threadpool_limits(1):
        compute.each(add, *zip(*panels(sums["products"], n_genes), strict=True))


def bounds(n_genes: int) -> list[tuple[int, int]]:
    """Return the first gene of each panel, and the one behind its last."""
    return [(start, min(start + PANEL, n_genes)) for start in range(0, n_genes, PANEL)]


def panels(products: np.ndarray, n_genes: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the bounds of each panel, and its products as a matrix (genes of the panel, genes from its first on)."""
    first = 0
    for start, stop in bounds(n_genes):
        last = first + (stop - start) * (n_genes - start)
        yield start, stop, products[first:last].reshape(stop - start, n_genes - start)
        first = last


def components(sums: dict[str, np.ndarray], n_cells: int, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first principal components of cells of which `add_products` has summed up all.

    They are the eigenvectors of the genes' covariance, which ARPACK finds from a fixed start on one thread. With
    `project`, scores agree with those of `principal_components` to a millionth of each component's standard deviation.

    Returns the axes, shape (n_genes, n_components), largest variance first, signs as in `principal_components`, and the
    means of the genes, shape (n_genes,).
    """
    from scipy.sparse.linalg import LinearOperator, eigsh
    from threadpoolctl import threadpool_limits

    mean = sums["totals"] / n_cells
    n_genes = len(mean)
    n_components = min(n_components, n_genes - 1, n_cells - 1)
    matrices = list(panels(sums["products"], n_genes))

    def times_covariance(vector: np.ndarray) -> np.ndarray:
        vector, result = vector.ravel(), np.zeros(n_genes)
        for start, stop, products in matrices:
            result[start:stop] += products @ vector[start:]
            result[stop:] += products[:, stop - start :].T @ vector[start:stop]
        return result / n_cells - mean * (mean @ vector)

    with threadpool_limits(1):
        operator = LinearOperator((n_genes, n_genes), matvec=times_covariance, dtype=np.float64)
        axes = eigsh(operator, n_components, v0=np.ones(n_genes))[1][:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.sign(axes[largest, range(n_components)]), mean  # signs as scikit-learn fixes them


def project(x: csr_matrix, axes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the scores of cells on `components`, float64 of shape (n_cells, n_components)."""
    return x.astype(np.float64) @ axes - mean @ axes

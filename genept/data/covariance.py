"""Principal components of more cells than fit in memory: products of all pairs of genes, added up cell by cell.

A cell adds a product for each pair of the genes that it expresses, so time grows with the square of these, some 2,000,
and not with that of all genes. Of the products, a symmetric matrix, the half is kept that BLAS calls packed: row after
row from the diagonal on, 0.6 GB for 12,000 genes and 3.6 GB for 30,000, however many cells there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.sparse import csr_matrix

from genept.core import compute
from genept.core.errors import InputError

CELLS_AT_ONCE = 256  # whose values stay near the processor while they are multiplied
SHARES = 16  # of the genes, that threads take in turn


def add_products(sums: dict[str, np.ndarray], x: csr_matrix) -> None:
    """Add cells to ``totals`` of genes, shape (n_genes,), and ``products`` of pairs of genes; make them if missing.

    ``products`` has shape (n_genes * (n_genes + 1) / 2,), in the order of the module's description. `x` is
    (n_cells, n_genes), columns ascending. The sums of a gene are of one thread, so they do not depend on how many there
    are.
    """
    n_genes = x.shape[1]
    if not sums:
        sums |= {"totals": np.zeros(n_genes), "products": np.zeros(n_genes * (n_genes + 1) // 2)}
    sums["totals"] += np.bincount(x.indices, weights=x.data, minlength=n_genes)
    for start in range(0, x.shape[0], CELLS_AT_ONCE):
        block = x[start : start + CELLS_AT_ONCE]
        places = np.arange(block.nnz, dtype=np.uint32)
        by_gene = csr_matrix((places, block.indices, block.indptr), shape=block.shape).tocsc()  # where each gene is
        ends = block.indptr[1:][by_gene.indices].astype(np.uint32)
        genes, values = block.indices.astype(np.uint32), block.data.astype(np.float64)
        arrays = sums["products"], by_gene.indptr, by_gene.data, ends, genes, values
        compute.each(lambda share, arrays=arrays: add_share(share, n_genes, *arrays), range(SHARES))


@njit(nogil=True, cache=True)
def add_share(
    share: int,
    n_genes: int,
    products: np.ndarray,
    firsts: np.ndarray,
    places: np.ndarray,
    ends: np.ndarray,
    genes: np.ndarray,
    values: np.ndarray,
) -> None:
    """Add the products of every `SHARES`-th gene with itself and those behind it, over some cells.

    `genes` and `values` are those of the cells, one cell after the other. The entries of gene `g` are at
    ``places[firsts[g]:firsts[g + 1]]``; its cell ends before the place in `ends`.
    """
    for gene in range(share, n_genes, SHARES):
        diagonal = gene * n_genes - gene * (gene - 1) // 2
        row = products[diagonal - gene :]  # so that the product with gene h is row[h]
        for entry in range(firsts[gene], firsts[gene + 1]):
            value = values[places[entry]]
            for place in range(places[entry], ends[entry]):
                row[genes[place]] += value * values[place]


def components(sums: dict[str, np.ndarray], n_cells: int, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first principal components of cells of which `add_products` has summed up all.

    They are the eigenvectors of the genes' covariance, which ARPACK finds from a fixed start on one thread. With
    `genept.data.pca.project`, scores agree with those of `genept.data.pca.principal_components` to 3e-12 of each
    component's standard deviation.

    Returns the axes, shape (n_genes, n_components), largest variance first, signs as in `principal_components`, and the
    means of the genes, shape (n_genes,).
    """
    from scipy.linalg.blas import dspmv
    from scipy.sparse.linalg import LinearOperator, eigsh
    from threadpoolctl import threadpool_limits

    mean = sums["totals"] / n_cells
    n_genes = len(mean)
    n_components = min(n_components, n_genes - 1, n_cells - 1)
    if not n_components:
        raise InputError(f"{n_cells} cells of {n_genes} genes have no principal components; two are needed of each")

    def times_covariance(vector: np.ndarray) -> np.ndarray:
        return dspmv(n_genes, 1 / n_cells, sums["products"], vector.ravel(), lower=1) - mean * (mean @ vector)

    with threadpool_limits(1):
        operator = LinearOperator((n_genes, n_genes), matvec=times_covariance, dtype=np.float64)
        axes = eigsh(operator, n_components, v0=np.ones(n_genes))[1][:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.sign(axes[largest, range(n_components)]), mean  # signs as scikit-learn fixes them

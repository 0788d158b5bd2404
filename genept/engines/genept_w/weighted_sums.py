"""Sums of gene vectors weighted by sparse expression: a matrix product, compiled and blocked for the caches.

It is written here because it is 18 times as fast as scipy's sparse product in float64 and 2.4 times as the notebook's
dense one (1,536 dimensions, two cores, see ``bench/``), and gives the same bits for any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.sparse import csr_matrix

from genept.core import compute

DIMENSIONS = 256  # summed at a time
GENES = 1500  # whose vectors, of that many dimensions, are used for all cells before the next: 1.5 MB, a core's cache


def weighted_sums(weights: csr_matrix, vectors: np.ndarray) -> np.ndarray:
    """Return weights @ vectors, all float32, without turning the weights, shape (n_cells, n_genes), dense.

    A cell's sums are added in the order of the genes, so they depend neither on the threads nor on the other cells.
    Upstream, the notebook of Chen & Zou, multiplies dense float64 matrices. scipy's sparse product reads a gene's
    vector from memory for every value; here it comes from the processor's cache.
    """
    weights = weights if weights.has_sorted_indices else weights.sorted_indices()
    sums = np.zeros((weights.shape[0], vectors.shape[1]), dtype=np.float32)
    n_parts = compute.n_threads()
    shares = np.arange(1, n_parts) * weights.nnz // n_parts
    bounds = [0, *np.searchsorted(weights.indptr, shares).tolist(), weights.shape[0]]

    def add_part(first: int, last: int) -> None:
        add(weights.indptr[first : last + 1], weights.indices, weights.data, vectors, sums[first:last])

    compute.each(add_part, bounds[:-1], bounds[1:])
    return sums


@njit(nogil=True, cache=True, fastmath={"contract"})
def add(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, vectors: np.ndarray, sums: np.ndarray) -> None:
    """Add each cell's weighted gene vectors to its sums; of the CSR, columns ascending, `indptr` is of these cells."""
    n_genes, n_dimensions = vectors.shape
    table = np.zeros(GENES * DIMENSIONS, np.float32)
    acc = np.empty(DIMENSIONS, np.float32)
    for low in range(0, n_dimensions, DIMENSIONS):
        width = min(DIMENSIONS, n_dimensions - low)
        next_value = indptr.copy()
        for gene in range(0, n_genes, GENES):
            n = min(GENES, n_genes - gene)
            for i in range(n):
                for k in range(width):
                    table[i * DIMENSIONS + k] = vectors[gene + i, low + k]
            for cell in range(len(sums)):
                j = stop = next_value[cell]
                while stop < indptr[cell + 1] and indices[stop] < gene + n:
                    stop += 1
                next_value[cell] = stop
                acc[:] = 0
                while j + 4 <= stop:  # four at once: fewer times through memory for the sums
                    a, b = place(indices[j], gene), place(indices[j + 1], gene)
                    c, d = place(indices[j + 2], gene), place(indices[j + 3], gene)
                    wa, wb, wc, wd = data[j], data[j + 1], data[j + 2], data[j + 3]
                    for k in range(DIMENSIONS):
                        acc[k] += wa * table[a + k] + wb * table[b + k] + wc * table[c + k] + wd * table[d + k]
                    j += 4
                while j < stop:
                    a, wa = place(indices[j], gene), data[j]
                    for k in range(DIMENSIONS):
                        acc[k] += wa * table[a + k]
                    j += 1
                for k in range(width):
                    sums[cell, low + k] += acc[k]


@njit(nogil=True, cache=True)
def place(gene: int, first: int) -> np.uint32:
    """Return where a gene's vector begins in a table of those from `first` on; unsigned, or loops stay scalar."""
    return np.uint32(gene - first) * np.uint32(DIMENSIONS)

"""Exact medians of a gene's values over any number of cells, in memory that does not grow with them.

Cells are read several times. In each reading the values of a gene are counted in `BINS` intervals, and the interval
that holds the median takes the place of the last, until the values in these intervals are few enough to be sorted.
Floats above 0 are ordered as their bits are, so that intervals are of bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.sparse import csr_matrix

BINS = 512
FEW = 1 << 24  # values that are sorted: 256 MB
LEAST, MOST = 2.0**-40, 2.0**20  # between which a share of a cell's counts, times 10,000, is


def medians(read: Callable[[], Iterable[csr_matrix]], n_genes: int) -> np.ndarray:
    """Return the median of each gene's values that are not 0, as `numpy.median` does; NaN of a gene without any.

    `read` begins a reading of some cells after the other, float64 of shape (n_cells, n_genes), values above 0.
    """
    low = np.full(n_genes, bits(LEAST))
    width = np.full(n_genes, -(-(bits(MOST) - bits(LEAST)) // BINS))  # of a bin
    n_below, n_all = np.zeros(n_genes, dtype=np.int64), np.zeros(n_genes, dtype=np.int64)
    while True:
        counts = np.zeros((n_genes, BINS), dtype=np.int64)
        for values, genes in flat(read()):
            bins, is_in = place(values, genes, low, width * BINS, width)
            counts += np.bincount(genes[is_in] * BINS + bins, minlength=counts.size).reshape(counts.shape)
        n_all = np.maximum(n_all, counts.sum(axis=1))  # the first reading has all values in its intervals
        lower = np.maximum(n_all - 1, 0) // 2  # which value, from the smallest, is the median, or the first of two
        chosen = (n_below[:, None] + counts.cumsum(axis=1) <= lower[:, None]).sum(axis=1).clip(max=BINS - 1)
        n_below += np.where(np.arange(BINS) < chosen[:, None], counts, 0).sum(axis=1)
        low, size, width = low + chosen * width, width, -(-width // BINS)
        n_within = np.take_along_axis(counts, chosen[:, None], axis=1)[:, 0]
        if n_within[size > 1].sum() <= FEW:
            return sort(read, low, size, n_below, n_within, n_all)


def sort(
    read: Callable[[], Iterable[csr_matrix]],
    low: np.ndarray,
    size: np.ndarray,
    n_below: np.ndarray,
    n_within: np.ndarray,
    n_all: np.ndarray,
) -> np.ndarray:
    """Return the medians, of which the first of two lies in an interval; the second may be the next value above."""
    found, above = list[tuple[np.ndarray, np.ndarray]](), np.full(len(low), np.inf)
    for values, genes in flat(read()):
        offset = values.view(np.int64) - low[genes]
        np.minimum.at(above, genes[offset >= size[genes]], values[offset >= size[genes]])
        is_in = (offset >= 0) & (offset < size[genes]) & (size[genes] > 1)
        found.append((genes[is_in], values[is_in]))
    genes, values = (np.concatenate(arrays) if arrays else np.empty(0) for arrays in zip(*found, strict=True))
    order = np.lexsort((values, genes))
    values, starts = values[order], np.searchsorted(genes[order], np.arange(len(low) + 1))
    result = np.full(len(low), np.nan)
    for gene in np.flatnonzero(n_all):
        own = values[starts[gene] : starts[gene + 1]]
        if size[gene] == 1:  # they are all equal, and were not collected
            own = np.broadcast_to(low[gene : gene + 1].view(np.float64), n_within[gene])
        first, second = ((n_all[gene] - 1) // 2 - n_below[gene], n_all[gene] // 2 - n_below[gene])
        pair = own[first], own[second] if second < len(own) else above[gene]
        result[gene] = np.mean(pair)
    return result


def bits(value: float) -> np.int64:
    """Return the bits of a float as a whole number."""
    return np.float64(value).view(np.int64)


def flat(blocks: Iterable[csr_matrix]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Yield values and their genes."""
    for block in blocks:
        yield np.ascontiguousarray(block.data, dtype=np.float64), block.indices.astype(np.int64)


def place(
    values: np.ndarray, genes: np.ndarray, low: np.ndarray, size: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins of the values within the intervals of their genes, and which values these are."""
    offset = values.view(np.int64) - low[genes]
    is_in = (offset >= 0) & (offset < size[genes])
    return offset[is_in] // width[genes[is_in]], is_in

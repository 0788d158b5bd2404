"""scGPT's bins of expression and its choice of genes, compiled: `make bench` asks for 50 times upstream's speed.

As upstream's ``binning`` and ``DataCollator``: a cell's non-zero values are cut at their own quantiles, and of a cell
with too many genes a random subset is read. Where a value equals several quantiles, as most counts do, upstream draws
one of the bins between them, from two global, unseeded generators, one of them in as many copies as the machine has
processors. Here a draw is a hash of (seed, cell id, gene): it does not depend on other cells, other genes, the order of
either, or the machine. Plain numpy around a smaller compiled part took 2 to 3 times the processor time. Loops stand
where numpy has a function, because numba needs seconds to compile `max`, `searchsorted` and `sort`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SMALL = 4096  # counts below this are tabulated instead of sorted


@njit(nogil=True, cache=True)
def count_expressed(
    first: int,
    last: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    gene_ids: np.ndarray,
    n_expressed: np.ndarray,
) -> None:
    """Count the genes of the vocabulary that cells `first` to `last` - 1 express, into `n_expressed`."""
    for cell in range(first, last):
        n = 0
        for j in range(indptr[cell], indptr[cell + 1]):
            n += (data[j] != 0) & (gene_ids[np.uint32(indices[j])] >= 0)
        n_expressed[cell] = n


@njit(nogil=True, cache=True)
def fill(
    first: int,
    last: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    gene_ids: np.ndarray,
    n_expressed: np.ndarray,
    keys: np.ndarray,
    starts: np.ndarray,
    probabilities: np.ndarray,
    drawn: bool,
    ids: np.ndarray,
    values: np.ndarray,
) -> None:
    """Write the tokens after ``<cls>`` of cells `first` to `last` - 1 into `ids` and `values`, from each cell's start.

    Expression is CSR; `gene_ids` are vocabulary ids of the columns, -1 for none; `keys` two random 64-bit numbers of
    each cell, for its bins and its subset, uint64 of shape (n_cells, 2). For `probabilities` and `drawn` see `cut`.
    """
    longest = 1  # one more than any cell has, since a gene is written before it is looked at
    for cell in range(first, last):
        longest = max(longest, n_expressed[cell] + 1)
    genes, numbers = np.empty(longest, np.int32), np.empty(longest, np.uint64)
    x, bins = np.empty(longest, np.float32), np.empty(longest, np.float32)
    shares = np.full(longest, 0.5)
    for cell in range(first, last):
        n = np.uint32(0)
        for j in range(indptr[cell], indptr[cell + 1]):  # without a branch, which no processor could predict
            gene = gene_ids[np.uint32(indices[j])]
            genes[n], x[n] = gene, data[j]
            n += np.uint32((data[j] != 0) & (gene >= 0))
        if n == 0:
            continue
        if drawn:
            for i in range(n):
                shares[i] = np.float64(mixed(keys[cell, 0], genes[i]) >> np.uint64(11)) * 2.0**-53  # from [0, 1)
        cut(x[:n], shares[:n], probabilities, drawn, bins[:n])
        start, room = starts[cell] + 1, starts[cell + 1] - starts[cell] - 1
        if n > room:
            for i in range(n):
                numbers[i] = mixed(keys[cell, 1], genes[i])
            highest = threshold(numbers[:n], room)
            n_chosen = 0
            for i in range(n):  # without a branch, as above
                genes[n_chosen], bins[n_chosen] = genes[i], bins[i]
                n_chosen += numbers[i] <= highest
            n = n_chosen  # type: ignore[assignment]
        for i in range(n):
            ids[start + i], values[start + i] = genes[i], bins[i]


@njit(nogil=True, cache=True)
def cut(x: np.ndarray, shares: np.ndarray, probabilities: np.ndarray, drawn: bool, bins: np.ndarray) -> None:
    """Bin one cell's non-zero values by their own quantiles, into 1 to ``n_bins`` - 1.

    A value could be in any bin between the edges that it equals. If `drawn`, `shares` say in which: with uniform
    numbers from [0, 1) in upstream's order, the bins are upstream's to the bit. Else the bin is the mean of those,
    which may lie half-way between two.

    `x` and `bins`, which is written to, are float32, `shares` float64, all of shape (n,). `probabilities` are
    ``np.linspace(0, 1, n_bins - 1)``; the edges are ``np.quantile(x, probabilities)``.
    """
    counts = np.empty(len(x), np.int32)
    top = as_counts(x, counts)
    if top > SMALL:
        edges = quantiles(np.sort(x), probabilities)
        for i in range(len(x)):
            above = np.float64(count_up_to(edges, x[i], True))
            bins[i] = chosen(above, above - count_up_to(edges, x[i], False), shares[i], drawn)
        return
    edges = quantiles(sorted_counts(counts, top), probabilities)
    highest, width = np.zeros(top), np.zeros(top)  # of the bins of each count
    passed = 0  # edges at most this count
    for value in range(1, top):
        below = passed
        while below < len(edges) and edges[below] < value:
            below += 1
        passed = below
        while passed < len(edges) and edges[passed] == value:
            passed += 1
        highest[value], width[value] = passed, passed - below
    for i in range(len(x)):
        count = np.uint32(counts[i])
        bins[i] = chosen(highest[count], width[count], shares[i], drawn)


@njit(nogil=True, cache=True)
def count_up_to(edges: np.ndarray, value: float, included: bool) -> int:
    """Return how many of the ascending `edges` are below `value`, or at most `value` if it is `included`."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < value or (included and edges[middle] == value):
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def as_counts(x: np.ndarray, counts: np.ndarray) -> int:
    """Write values into `counts`; return one more than the largest, or more than `SMALL` if some are other."""
    largest, other = np.int32(0), np.int32(0)
    for i in range(len(x)):
        count = np.int32(min(max(x[i], np.float32(0)), np.float32(SMALL)))
        counts[i] = count
        other |= np.int32(np.float32(count) != x[i]) | np.int32(count == 0)
        largest = max(largest, count)
    return SMALL + 1 if other else int(largest) + 1


@njit(nogil=True, cache=True)
def sorted_counts(counts: np.ndarray, top: int) -> np.ndarray:
    """Sort counts, all below `top`, by tabulating them; float32."""
    # four tables in turn, since most counts are 1 and a processor waits for its last addition to the same place
    tables = np.zeros((4, top), np.int32)
    for i in range(len(counts)):
        tables[np.uint32(i) & np.uint32(3), np.uint32(counts[i])] += 1
    ascending = np.empty(len(counts), np.float32)
    start = 0
    for value in range(top):
        end = start + tables[0, value] + tables[1, value] + tables[2, value] + tables[3, value]
        ascending[start:end] = value
        start = end
    return ascending


@njit(nogil=True, cache=True)
def chosen(above: float, width: float, share: float, drawn: bool) -> float:
    """Choose among the `width` bins up to `above`: by `share` of the way down, or the middle."""
    return np.ceil(above - share * width) if drawn else above - max(width - 1, 0) / 2


@njit(nogil=True, cache=True)
def quantiles(ascending: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return ``np.quantile(ascending, probabilities)``, to the bit, of float32 values that are already sorted."""
    edges = np.empty(len(probabilities))
    last = len(ascending) - 1
    for k in range(len(probabilities)):
        position = probabilities[k] * last
        below = int(np.floor(position))
        low, high, fraction = ascending[below], ascending[min(below + 1, last)], position - below
        step = np.float64(np.float32(high - low))
        edges[k] = low + step * fraction if fraction < 0.5 else high - step * (1 - fraction)  # from the nearer end
    return edges


@njit(nogil=True, cache=True)
def threshold(numbers: np.ndarray, n_chosen: int) -> np.uint64:
    """Return the `n_chosen`-th smallest of random 64-bit numbers, found among those that share its first byte."""
    counts = np.zeros(256, np.int64)
    for number in numbers:
        counts[number >> np.uint64(56)] += 1
    byte, before = 0, 0
    while before + counts[byte] < n_chosen:
        before += counts[byte]
        byte += 1
    sharing = np.empty(counts[byte], np.uint64)  # in ascending order; a 256th of all
    n = 0
    for number in numbers:
        if number >> np.uint64(56) == np.uint64(byte):
            j = n
            while j > 0 and sharing[j - 1] > number:
                sharing[j] = sharing[j - 1]
                j -= 1
            sharing[j] = number
            n += 1
    return sharing[n_chosen - before - 1]


@njit(nogil=True, cache=True)
def mixed(key: np.uint64, gene: int) -> np.uint64:
    """Hash a cell's key and a gene to 64 bits: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = key + np.uint64(gene + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))

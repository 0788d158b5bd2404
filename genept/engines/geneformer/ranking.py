"""What ranks a cell's genes, compiled: their values, and a sort in one pass over fine buckets."""

from __future__ import annotations

import numpy as np
from numba import njit

BUCKETS = 4  # at most, for each value
SMALL = 32  # values in a bucket up to which insertion is fast
GAPS = (8929, 3968, 1750, 701, 301, 132, 57, 23, 10, 4)  # of Shell's sort, for more: Ciura 2001, extended


@njit(nogil=True, cache=True, error_model="numpy")
def scale(counts: np.ndarray, columns: np.ndarray, starts: np.ndarray, medians: np.ndarray, target: float) -> None:
    """Turn counts into ``counts / total of the cell * target / median of the column``, in place.

    In this order, as upstream, since another order would round differently.
    """
    for cell in range(len(starts) - 1):
        total = 0.0
        for j in range(starts[cell], starts[cell + 1]):
            total += counts[j]
        for j in range(starts[cell], starts[cell + 1]):
            counts[j] = counts[j] / total * target / medians[np.uint32(columns[j])]


@njit(nogil=True, cache=True)
def descending(
    values: np.ndarray, tokens: np.ndarray, starts: np.ndarray, ranked: np.ndarray, lengths: np.ndarray
) -> None:
    """Order every cell's tokens by value, the largest first, equal values by token, the smallest first.

    Parameters
    ----------
    values
        Not negative, float64, shape (n,).
    tokens
        Shape (n,), int32.
    starts
        Where each cell's values begin, and where the last ones end; shape (n_cells + 1,).
    ranked
        Is written to: each cell's tokens whose value is not 0, from where its values begin; shape (n,), int32.
    lengths
        Is written to: how many those are; shape (n_cells,).
    """
    longest = 1
    for cell in range(len(lengths)):
        longest = max(longest, starts[cell + 1] - starts[cell] + 1)
    unsorted_values, unsorted_tokens = np.empty(longest), np.empty(longest, np.int32)
    sorted_values = np.empty(longest)
    places = np.empty(BUCKETS * longest + 2, np.int32)
    for cell in range(len(lengths)):
        n = 0
        for j in range(starts[cell], starts[cell + 1]):
            unsorted_values[n], unsorted_tokens[n] = values[j], tokens[j]
            n += values[j] > 0
        lengths[cell] = n
        out = ranked[starts[cell] : starts[cell] + n]
        into_buckets(unsorted_values[:n], unsorted_tokens[:n], places, sorted_values[:n], out)


@njit(nogil=True, cache=True)
def into_buckets(
    values: np.ndarray, tokens: np.ndarray, places: np.ndarray, sorted_values: np.ndarray, sorted_tokens: np.ndarray
) -> None:
    """Sort one cell.

    The bits of floating-point numbers that are not negative, read as integers, are in the order of the numbers, and
    their first bits are nearly the logarithm, over which expression spreads far more evenly than over its values.
    """
    n = len(values)
    if n == 0:
        return
    bits = values.view(np.int64)
    lowest, highest = bits.min(), bits.max()
    shift = 0
    while (highest - lowest) >> shift >= BUCKETS * n:
        shift += 1
    n_buckets = ((highest - lowest) >> shift) + 1
    places[: n_buckets + 1] = 0
    for i in range(n):
        places[np.uint64(highest - bits[i] >> shift) + np.uint64(1)] += 1
    fullest = 0
    for bucket in range(n_buckets):
        fullest = max(fullest, places[bucket + 1])
        places[bucket + 1] += places[bucket]
    for i in range(n):
        of_value = np.uint64(highest - bits[i] >> shift)
        place = np.uint32(places[of_value])
        sorted_values[place], sorted_tokens[place] = values[i], tokens[i]
        places[of_value] += 1
    if fullest > SMALL:
        for bucket in range(n_buckets):
            begin, end = places[bucket - 1] if bucket else 0, places[bucket]  # by now
            if end - begin > SMALL:
                for gap in GAPS:
                    insert(sorted_values[begin:end], sorted_tokens[begin:end], gap)
    insert(sorted_values, sorted_tokens, 1)


@njit(nogil=True, cache=True)
def insert(values: np.ndarray, tokens: np.ndarray, gap: int) -> None:
    """Sort each `gap`-th place in place, the largest value first, then by token; fast where nearly all is in order."""
    for i in range(gap, len(values)):
        value, token, j = values[i], tokens[i], i
        while j >= gap and (values[j - gap] < value or (values[j - gap] == value and tokens[j - gap] > token)):
            values[j], tokens[j] = values[j - gap], tokens[j - gap]
            j -= gap
        values[j], tokens[j] = value, token

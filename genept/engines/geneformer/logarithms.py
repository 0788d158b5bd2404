"""Counts from log-normalised values, for Geneformer's ranks.

Within a cell, ``expm1`` of ``log1p(counts * factor)`` is proportional to the counts, and a rank does not change with a
factor: so the ranks of counts can be had exactly from their logarithms, ties included, if the values are of that form.
They are if a cell's ``expm1`` values are multiples of one unit, to the rounding of float32.

What this cannot tell: a cell with one distinct value is always of that form, and one with two sometimes by chance; so
every cell of a dataset must be. Counts above some 100,000 times the unit are lost in rounding, and a cell with one is
not of that form. Nor are values that were corrected, scaled or averaged, or that come from reads per length (TPM, RPKM)
and not from counts. Corrected counts that were rounded look like counts. A factor that all counts of a cell share is
lost, which no rank sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import sparse

from genept.core import compute

BASES = {"e": 1.0, "2": math.log(2)}  # natural logarithm of the base
HALF_ULP = 2.0**-24  # relative error of one operation in float32
N_ROUNDINGS = 8  # dividing by the total, multiplying, log1p (of up to two units), dividing by log(base), and storing
LARGEST_SMALLEST = 12  # multiples of the unit that a cell's smallest value may be; of counts it is nearly always 1
LARGEST_COUNT = 2.0**24  # up to here float32 holds every whole number
CELLS_AT_ONCE = 128  # in one thread's turn


class Fit(NamedTuple):
    """How well cells fit a base of logarithms: those that do not, all cells, and the sum of their counts."""

    n_unlike: int
    n_cells: int
    total: float

    @property
    def reason(self) -> str:
        """Why these values have no counts."""
        return f"gives no multiples of one count in {self.n_unlike:,} of {self.n_cells:,} cells"


def counts_of(values: sparse.csr_matrix, bases: Iterable[str] = BASES) -> tuple[sparse.csr_matrix | None, str]:
    """Return the counts of log-normalised values and the base, or None and why they have none.

    `values` are log(1 + counts * factor), one factor for each cell, natural or of base 2, not negative, shape (n_cells,
    n_genes). The counts of a cell are the smallest whole numbers in the ratios of its values, float32. If both bases
    give counts, as few and small cells may, the smaller counts are right.
    """
    found = {base: restored(values, base) for base in bases}
    base = best({base: fit for base, (_, fit) in found.items()})
    counts, fit = found[base]
    if fit.n_unlike:
        return None, f"expm1 (base {base}) {fit.reason}"
    return sparse.csr_matrix((counts, values.indices, values.indptr), shape=values.shape), base


def survey(parts: Iterable[sparse.csr_matrix]) -> tuple[str, str]:
    """Return the base that all cells fit, read some after the other, or "" and why there is none; as `counts_of`."""
    fits: dict[str, Fit] = dict.fromkeys(BASES, Fit(0, 0, 0.0))
    for values in parts:
        for base in BASES:
            fits[base] = Fit(*map(sum, zip(fits[base], restored(values, base)[1], strict=True)))  # type: ignore[arg-type]
    base = best(fits)
    return ("", f"expm1 (base {base}) {fits[base].reason}") if fits[base].n_unlike else (base, "")


def best(fits: Mapping[str, Fit]) -> str:
    """Return the base with the fewest cells that do not fit, or the smaller counts."""
    return min(fits, key=lambda base: (fits[base].n_unlike, fits[base].total))


def restored(values: sparse.csr_matrix, base: str) -> tuple[np.ndarray, Fit]:
    """Return what would be the counts if the logarithms had a base, and whether they are."""
    n_cells = values.shape[0]
    ascending = np.lexsort((values.data, np.repeat(np.arange(n_cells), np.diff(values.indptr))))
    counts, fits = np.zeros(len(values.data), np.float32), np.zeros(n_cells, np.bool_)
    arrays = values.indptr, values.data, ascending, BASES[base], counts, fits
    compute.each(
        lambda first: restore_cells(first, min(first + CELLS_AT_ONCE, n_cells), *arrays),
        range(0, n_cells, CELLS_AT_ONCE),
    )
    return counts, Fit(int(np.sum(~fits)), n_cells, float(counts.sum(dtype=np.float64)))


@njit(nogil=True, cache=True)
def restore_cells(
    first: int,
    last: int,
    indptr: np.ndarray,
    data: np.ndarray,
    ascending: np.ndarray,
    log: float,
    counts: np.ndarray,
    fits: np.ndarray,
) -> None:
    """Write the counts of cells `first` to `last` - 1, each cell's values being `ascending`, and which cells fit."""
    for cell in range(first, last):
        order = ascending[indptr[cell] : indptr[cell + 1]]
        smallest = 1.0
        while not fits[cell] and smallest <= LARGEST_SMALLEST:
            fits[cell] = count_multiples(data, order, log, smallest, counts)
            smallest += 1.0


@njit(nogil=True, cache=True)
def count_multiples(data: np.ndarray, order: np.ndarray, log: float, smallest: float, counts: np.ndarray) -> bool:
    """Write a cell's values as multiples of a unit, of which the smallest has `smallest`; return whether they are.

    Each value is known to lie in an interval, by rounding. So does the unit, which every value narrows down, the
    smaller ones first. A value must be one multiple of it, and cannot be another.
    """
    low, high = 0.0, np.inf  # the unit
    for j in order:
        value = np.float64(data[j]) * log
        if value <= 0:
            continue
        error = N_ROUNDINGS * HALF_ULP * value
        least, most = math.expm1(value - error), math.expm1(value + error)
        multiple = smallest if high == np.inf else np.ceil(least / high)
        if (low > 0 and np.floor(most / low) != multiple) or multiple > LARGEST_COUNT:
            return False
        low, high = max(low, least / multiple), min(high, most / multiple)
        counts[j] = multiple
    return True

"""A matrix of cells x genes that is read from its file when it is needed, some cells after the other.

What is asked of it, genes and cells to keep, is done to each block as it is read. So a sample of a large file takes the
memory of the sample, and the matrix is never in memory as a whole unless `Matrix.csr` asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from genept.core.pace import Pace
from genept.data import expression


@dataclass(frozen=True)
class Survey:
    """What one reading of a matrix finds: what its values are, and what they add up to."""

    n_values: int  # that are not zero
    n_fractions: int  # of them, that are no whole numbers
    least: float  # of them; 0 without any
    largest: float
    n_damaged: int  # cells with a value that is no finite number
    cell_totals: np.ndarray  # float64, (n_cells,)
    gene_totals: np.ndarray  # float64, (n_genes,)


@dataclass(frozen=True)
class Matrix:
    """Cells x genes; `blocks` begins a new reading, of CSR matrices of all genes, in the order of the cells.

    Given row numbers in ascending order, `blocks` reads these cells only; None stands for all. In a block are no stored
    zeros, and the columns of each row ascend. `dtype` is that of the values in the file. A small matrix is in memory as
    a `whole`. A `note` says what a user should know of the file; of a part of the matrix there is none.
    """

    blocks: Callable[[np.ndarray | None], Iterator[sp.csr_matrix]]
    shape: tuple[int, int]
    dtype: np.dtype
    whole: sp.csr_matrix | None = None
    note: str = ""

    def read(self) -> Iterator[sp.csr_matrix]:
        """Yield all cells, some after the other; from a file with a progress bar."""
        if self.whole is not None:
            yield from self.blocks(None)
            return
        with Pace("reading", self.shape[0]) as pace:
            for block in self.blocks(None):
                n_cells = block.shape[0]
                yield block
                del block  # before the next is read
                pace.add(n_cells)

    def genes(self, columns: np.ndarray) -> Matrix:
        """Return the matrix with these columns, in this order."""
        if self.whole is not None:
            return in_memory(self.whole[:, columns])

        def chosen(block: sp.csr_matrix) -> sp.csr_matrix:
            own = block[:, columns]
            own.sort_indices()
            return own

        return Matrix(lambda rows: map(chosen, self.blocks(rows)), (self.shape[0], len(columns)), self.dtype)

    def cells(self, rows: np.ndarray) -> Matrix:
        """Return the matrix with these rows, row numbers in ascending order."""
        if len(rows) == self.shape[0]:
            return self
        if self.whole is not None:
            return in_memory(self.whole[rows])
        return Matrix(
            lambda some: self.blocks(rows if some is None else rows[some]), (len(rows), self.shape[1]), self.dtype
        )

    def csr(self) -> sp.csr_matrix:
        """Read it into memory, as float32: shape (n_cells, n_genes), indices of 32 bits where they suffice."""
        if self.whole is not None:
            x = self.whole.astype(np.float32, copy=False)
            return sp.csr_matrix((x.data, x.indices, x.indptr), shape=x.shape)
        values, indices, sizes = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
        for block in self.read():
            values.append(block.data.astype(np.float32))
            indices.append(block.indices.astype(np.int32))
            sizes.append(np.diff(block.indptr))
        indptr = np.concatenate([[0], *sizes]).cumsum()
        return sp.csr_matrix((joined(values, np.float32), joined(indices, np.int32), indptr), shape=self.shape)

    @cached_property
    def survey(self) -> Survey:
        """What is in it, by one reading."""
        n_values = n_fractions = n_damaged = 0
        least, largest, cell_totals = np.inf, -np.inf, list[np.ndarray]()
        of_genes = np.zeros(self.shape[1])
        for block in self.read():
            values = block.data
            if len(values):
                n_values += len(values)
                n_fractions += int(np.count_nonzero(values != np.rint(values))) if values.dtype.kind == "f" else 0
                least, largest = min(least, values.min()), max(largest, values.max())
            sizes = np.diff(block.indptr)
            rows = np.repeat(np.arange(len(sizes)), sizes)
            cell_totals.append(np.bincount(rows, weights=values, minlength=len(sizes)))
            n_damaged += int(np.count_nonzero(~np.isfinite(cell_totals[-1])))
            of_genes += expression.gene_totals(block)
        totals = np.concatenate(cell_totals) if cell_totals else np.empty(0)
        bounds = (float(least), float(largest)) if n_values else (0.0, 0.0)
        return Survey(n_values, n_fractions, *bounds, n_damaged, totals, of_genes)


def joined(pieces: list[np.ndarray], dtype: Any) -> np.ndarray:
    """Join arrays, and drop each as it is copied, so that both never are in memory as a whole."""
    whole = np.empty(sum(map(len, pieces)), dtype=dtype)
    end = len(whole)
    while pieces:
        piece = pieces.pop()
        whole[end - len(piece) : end] = piece
        end -= len(piece)
    return whole


def in_memory(matrix: sp.spmatrix | np.ndarray) -> Matrix:
    """Return a matrix that is in memory already, as `Matrix`; stored zeros and repeated entries become none."""
    csr = sp.csr_matrix(matrix)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    read = partial(
        in_blocks, lambda first, last: csr if last - first == csr.shape[0] else csr[first:last], csr.shape[0]
    )
    return Matrix(read, csr.shape, csr.dtype, csr)


def in_blocks(
    read: Callable[[int, int], sp.csr_matrix], n_cells: int, rows: np.ndarray | None, n_at_once: int | None = None
) -> Iterator[sp.csr_matrix]:
    """Yield the given rows of a matrix, None for all; `read` reads from a first cell to one before the last.

    `n_at_once` are read at a time, by default `expression.CELLS_AT_ONCE`; those among which none is wanted, never.
    """
    n_at_once = n_at_once or expression.CELLS_AT_ONCE
    for first in range(0, n_cells, n_at_once):
        last = min(first + n_at_once, n_cells)
        if rows is None:
            yield read(first, last)
            continue
        start, stop = np.searchsorted(rows, [first, last])
        if stop - start == last - first:
            yield read(first, last)
        elif stop > start:
            yield read(first, last)[rows[start:stop] - first]


def stack(matrices: Sequence[Matrix]) -> Matrix:
    """Return the cells of several matrices with the same genes, one matrix after the other."""
    starts = np.cumsum([0, *(matrix.shape[0] for matrix in matrices)])

    def blocks(rows: np.ndarray | None) -> Iterator[sp.csr_matrix]:
        for matrix, first, last in zip(matrices, starts, starts[1:], strict=False):
            own = None if rows is None else rows[slice(*np.searchsorted(rows, [first, last]))] - first
            if own is None or len(own):
                yield from matrix.blocks(own)

    dtype = np.result_type(*[matrix.dtype for matrix in matrices])
    return Matrix(blocks, (int(starts[-1]), matrices[0].shape[1]), dtype)

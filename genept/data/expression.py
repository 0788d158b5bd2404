"""A cell's expression as embedding methods read it: log-normalised values, and how much of it a model's genes cover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from genept.core.errors import InputError
from genept.core.notes import Mean, Total

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

TOTAL = 10_000
CELLS_AT_ONCE = 4_000  # where a copy of the whole matrix would be large


def log_normalise(cells: AnnData) -> csr_matrix:
    """Return log(1 + counts / total of the cell * 10,000) as float32; values declared ``lognorm`` stay as they are.

    The total is over all genes of the dataset. The same as scanpy's ``normalize_total(target_sum=1e4)`` and ``log1p``,
    but each value is computed in float64 and rounded once. An empty cell stays empty. Shape (n_cells, n_genes), and
    `cells` is not changed. Beside the matrix and the result there is never a third of their size.
    """
    x = cells.X.tocsr()
    if cells.uns["x"] == "lognorm":
        return x.astype(np.float32)
    values = np.empty(x.nnz, dtype=np.float32)
    for rows in parts(x.shape[0]):
        indptr = x.indptr[rows.start : rows.stop + 1]
        counts, sizes = x.data[indptr[0] : indptr[-1]].astype(np.float64), np.diff(indptr)
        totals = np.bincount(np.repeat(np.arange(len(sizes)), sizes), weights=counts, minlength=len(sizes))
        scale = np.divide(TOTAL, totals, out=np.zeros_like(totals), where=totals > 0)
        values[indptr[0] : indptr[-1]] = np.log1p(counts * np.repeat(scale, sizes))
    return type(x)((values, x.indices, x.indptr), shape=x.shape)


def log_normalised_parts(cells: AnnData) -> Iterator[tuple[slice, csr_matrix]]:
    """Yield the rows of some cells, and `log_normalise` of them, until all cells have been."""
    x, uns = cells.X.tocsr(), {"x": cells.uns["x"]}
    for rows in parts(x.shape[0]):
        yield rows, log_normalise(AnnData(x[rows], uns=uns))


def parts(n_cells: int) -> Iterator[slice]:
    """Yield the rows of `CELLS_AT_ONCE` cells after the other."""
    for start in range(0, n_cells, CELLS_AT_ONCE):
        yield slice(start, min(start + CELLS_AT_ONCE, n_cells))


def coverage(cells: AnnData, known: np.ndarray) -> dict[str, Any]:
    """Measure how much of the dataset a model does not see, for the notes beside its embedding.

    `known`, shape (n_genes,) of bool, tells which of the dataset's genes the model knows; `InputError` if none.

    Returns ``n_genes``, ``n_genes_missing``, ``share_of_counts_missing`` (of the sum of X over all cells, to 6
    decimals) and ``n_cells_without_gene`` (cells that express no gene the model knows).
    """
    names = list(cells.var_names)
    if not known.any():
        raise InputError(
            f"the model knows none of the {len(names)} genes ({', '.join(names[:3])}, ...); "
            "it needs human genes, named as by HGNC"
        )
    x = cells.X.tocsr()
    sums, n_without = gene_totals(x), sum(int((~(x[rows].astype(bool) @ known)).sum()) for rows in parts(x.shape[0]))
    return {
        "n_genes": len(names),
        "n_genes_missing": int((~known).sum()),
        "share_of_counts_missing": Mean(sums[~known].sum(), sums.sum(), digits=6),
        "n_cells_without_gene": Total(n_without),
    }


def gene_totals(x: csr_matrix) -> np.ndarray:
    """Return each gene's sum over the cells, float64 of shape (n_genes,); whole numbers are exact up to 2^53.

    ``x.sum(axis=0, dtype=float64)`` adds float32 in float32, which loses counts from 2^24 on.
    """
    sums = np.zeros(x.shape[1])
    for rows in parts(x.shape[0]):
        values = slice(x.indptr[rows.start], x.indptr[rows.stop])
        sums += np.bincount(x.indices[values], weights=x.data[values], minlength=len(sums))
    return sums

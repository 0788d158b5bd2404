"""A cell's expression as embedding methods read it: log-normalised values, and how much of it a model's genes cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genept.core.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

TOTAL = 10_000
CELLS_AT_ONCE = 4_000  # where a copy of the whole matrix would be large


def log_normalise(cells: AnnData) -> csr_matrix:
    """Return log(1 + counts / total of the cell * 10,000) as float32; values declared ``lognorm`` stay as they are.

    The total is over all genes of the dataset. The same as scanpy's ``normalize_total(target_sum=1e4)`` and ``log1p``,
    but each value is computed in float64 and rounded once. An empty cell stays empty. Shape (n_cells, n_genes), and
    `cells` is not changed.
    """
    x = cells.X.tocsr()
    if cells.uns["x"] == "lognorm":
        return x.astype(np.float32)
    totals = np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(TOTAL, totals, out=np.zeros_like(totals), where=totals > 0)
    values = np.log1p(x.data * np.repeat(scale, np.diff(x.indptr))).astype(np.float32)
    return type(x)((values, x.indices, x.indptr), shape=x.shape)


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
    sums, n_without = totals(cells.X.tocsr(), known)
    return {
        "n_genes": len(names),
        "n_genes_missing": int((~known).sum()),
        "share_of_counts_missing": round(float(sums[~known].sum() / sums.sum()), 6) if sums.any() else 0.0,
        "n_cells_without_gene": n_without,
    }


def totals(x: csr_matrix, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Return each gene's sum over the cells, float64, and the number of cells that express no known gene.

    In chunks of cells, so that beside the matrix there is never another of its size.
    """
    sums, n_with = np.zeros(x.shape[1]), 0
    for start in range(0, x.shape[0], CELLS_AT_ONCE):
        chunk = x[start : start + CELLS_AT_ONCE]
        sums += np.asarray(chunk.astype(np.float64).sum(axis=0)).ravel()  # sum(dtype=...) would still add up in float32
        n_with += int((chunk.astype(bool) @ known).sum())
    return sums, x.shape[0] - n_with

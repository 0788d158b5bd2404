"""Quality control of cells: how many genes they show, and how much of their counts is mitochondrial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from genept.core.params import QC

MITOCHONDRIAL = "MT-"  # prefix of HGNC's symbols of the 37 mitochondrial genes
OK = "ok"
OUTCOMES = (OK, "few_genes", "many_genes", "many_mitochondrial")


def judge(x: csr_matrix, symbols: Sequence[str], content: str, qc: QC) -> np.ndarray:
    """Return for each cell ``ok``, or the first reason in `OUTCOMES` to leave it out: shape (n_cells,), of text.

    `x` has no stored zeros; its `content` is ``counts`` or ``lognorm``.
    """
    n_genes = np.diff(x.indptr)
    outcome = np.full(x.shape[0], OK, dtype=object)
    if qc.max_mitochondrial is not None:
        outcome[mitochondrial_share(x, symbols, content) > qc.max_mitochondrial] = "many_mitochondrial"
    if qc.max_genes is not None:
        outcome[n_genes > qc.max_genes] = "many_genes"
    outcome[n_genes < qc.min_genes] = "few_genes"
    return outcome


def mitochondrial_share(x: csr_matrix, symbols: Sequence[str], content: str) -> np.ndarray:
    """Return the share of mitochondrial counts in each cell, shape (n_cells,); 0 where no such gene was measured.

    The logarithm of log-normalised values is undone first. That gives the share of the counts if the values are log1p
    of counts scaled per cell and no gene was removed before.
    """
    is_mitochondrial = np.array([symbol.startswith(MITOCHONDRIAL) for symbol in symbols], dtype=np.float64)
    values = x.data.astype(np.float64)
    linear = csr_matrix((np.expm1(values) if content == "lognorm" else values, x.indices, x.indptr), shape=x.shape)
    totals = linear @ np.ones(x.shape[1])
    return np.divide(linear @ is_mitochondrial, totals, out=np.zeros_like(totals), where=totals > 0)


def common_genes(x: csr_matrix, min_cells: int) -> np.ndarray:
    """Return which genes at least `min_cells` cells express, shape (n_genes,) of bool."""
    return np.bincount(x.indices, minlength=x.shape[1]) >= min_cells

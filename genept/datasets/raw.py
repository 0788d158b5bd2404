"""A raw dataset in memory: all cells as they were published; and the checks of its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError, nearest
from genept.data import genes
from genept.datasets.config import DatasetConfig

LARGEST_COUNT = 2**24  # up to here float32 holds every whole number
LARGEST_LOGARITHM = 50.0  # no logarithm of an expression value comes near: log1p(1e6) is 13.8


@dataclass(frozen=True)
class RawDataset:
    """All cells of a dataset as they were published.

    Attributes
    ----------
    x
        Shape (n_cells, n_genes); without rows of ``var`` that are no genes.
    obs
        The annotations that columns hold, as text, missing ones `None`; of reference and query also ``part``.
    var
        The genes' own table; of reference and query that of the reference.
    content
        What `x` holds, ``counts`` or ``lognorm``.
    notes
        What a user should know, one sentence each.
    """

    x: sp.csr_matrix
    obs: pd.DataFrame
    var: pd.DataFrame
    content: str
    notes: list[str]


def gene_totals(x: sp.csr_matrix) -> np.ndarray:
    """Sum each gene over the cells, shape (n_genes,)."""
    return np.asarray(x.sum(axis=0, dtype=np.float64)).ravel()


def gene_names(var: pd.DataFrame, config: DatasetConfig, path: Path) -> list[str]:
    """Return the genes' names: the index of ``var``, or the column that the config calls ``symbol``."""
    return [str(name) for name in (var.index if config.symbol is None else column(var, config.symbol, path, "symbol"))]


def harmonise(
    x: sp.csr_matrix, var: pd.DataFrame, config: DatasetConfig, table: genes.Table, path: Path
) -> genes.Harmonised:
    """Give the genes of a raw dataset approved symbols, by the columns that the config names.

    Parameters
    ----------
    path
        The file or folder that the genes are from, for errors.

    Raises
    ------
    InputError
        If a column is not there, the genes are another species', or none is known.
    """
    names = gene_names(var, config, path)
    ids = None if config.ensembl is None else list(map(str, column(var, config.ensembl, path, "ensembl")))
    try:
        return genes.harmonise(names, gene_totals(x), table, ids)
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None


def column(table: pd.DataFrame, name: str, path: Path, key: str) -> pd.Series:
    """Return a column of ``obs`` (for `key` ``obs``) or ``var``, or say which ones there are."""
    if name not in table.columns:
        known = [str(title) for title in table.columns]
        raise InputError(
            f"{path}: {'obs' if key == 'obs' else 'var'} has no column {name!r}, which `{key}` in the dataset's file "
            f"names{nearest(name, known)}; it has {', '.join(known) or 'no columns'}"
        )
    return table[name]


def to_csr(matrix: Any) -> sp.csr_matrix:
    """Return a dense or sparse matrix as CSR without stored zeros, the column indices of each row ascending."""
    csr = sp.csr_matrix(matrix)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    return csr


def check_values(matrix: sp.csr_matrix, declared: str, path: Path, layers: Sequence[str] = ()) -> str:
    """Check that a matrix holds what is declared, and return what it holds: ``counts`` or ``lognorm``.

    Parameters
    ----------
    matrix
        Cells x genes.
    declared
        ``counts``: whole numbers from 0 to 2**24. ``lognorm``: log-normalised values, which are not negative, have
        fractions and stay below 50. ``detect``: either; values that are whole numbers only are counts.
    path, layers
        The file, and its layers other than this matrix, for the message.

    Raises
    ------
    InputError
        If it holds something else; the message says what it looks like.
    """
    values = matrix.data
    if not np.issubdtype(values.dtype, np.number) and values.dtype != bool:
        raise InputError(f"{path}: X holds {values.dtype}, not numbers")
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        cells = np.unique(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(values)), side="right"))
        raise InputError(
            f"{path}: X has NaN or infinite values in {len(cells)} of {matrix.shape[0]} cells; remove those cells or "
            "genes"
        )
    if not len(values):
        return "counts" if declared == "detect" else declared
    least, largest = values.min(), values.max()
    fractional = int(np.count_nonzero(values != np.rint(values))) if values.dtype.kind == "f" else 0
    fractions = f"{fractional} of its {len(values)} non-zero values have fractions"
    if least < 0:
        problem = f"X has negative values (down to {least:.6g}): it looks centred or scaled; {advise_layer(layers)}"
    elif declared == "detect" and fractional and largest > LARGEST_LOGARITHM:
        problem = (
            f"X holds neither counts ({fractions}) nor logarithms (values up to {largest:.6g} are too large): "
            f"{describe_values(matrix, layers)}"
        )
    elif declared == "counts" and fractional:
        problem = f"X is declared counts but {fractions}: {describe_values(matrix, layers)}"
    elif declared == "lognorm" and not fractional:
        problem = (
            f"X is declared lognorm but holds whole numbers only (up to {largest:.0f}): it looks like counts; "
            "declare `x: counts`"
        )
    elif declared == "lognorm" and largest > LARGEST_LOGARITHM:
        problem = (
            f"X is declared lognorm but has values up to {largest:.6g}, too large for logarithms; give log1p of the "
            "normalised values, or counts"
        )
    elif not fractional and largest > LARGEST_COUNT:
        problem = f"X has a count of {largest:.0f}, more than 2^24: beyond that float32 is not exact"
    else:
        return "lognorm" if fractional else "counts"
    raise InputError(f"{path}: {problem}")


def advise_layer(layers: Sequence[str]) -> str:
    """Say which matrix to use in place of one that cannot be used."""
    if not layers:
        return "the file has no other layer; give raw counts"
    return f"name the layer with counts as `layer:` in the dataset's file (it has {', '.join(layers)})"


def describe_values(matrix: sp.csr_matrix, layers: Sequence[str]) -> str:
    """Say what a non-negative matrix with fractions may be, and what to do about it."""
    largest, advice = matrix.data.max(), advise_layer(layers)
    if largest <= LARGEST_LOGARITHM:
        return f"it looks log-normalised (largest value {largest:.3g}); {advice}, or declare `x: lognorm`"
    totals = matrix.sum(axis=1, dtype=np.float64).A1
    totals = totals[totals > 0]
    if totals.max() <= totals.min() * 1.001:
        return f"it looks normalised to {np.median(totals):.0f} per cell, without logarithm; {advice}"
    return f"corrected or estimated counts perhaps (largest value {largest:.6g}); {advice}, or round them"

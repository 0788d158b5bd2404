"""The expression matrix: brought to one form, and checked to hold what ``params.yaml`` declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from genept.core.errors import InputError

LARGEST_COUNT = 2**24  # up to here float32 holds every whole number
LARGEST_LOGARITHM = 50.0  # no logarithm of an expression value comes near: log1p(1e6) is 13.8


def to_csr(matrix: Any) -> sp.csr_matrix:
    """Return a dense or sparse matrix as CSR without stored zeros, the column indices of each row ascending."""
    csr = sp.csr_matrix(matrix)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    return csr


def check(matrix: sp.csr_matrix, declared: str, layers: Sequence[str] = ()) -> str:
    """Check that a matrix holds what is declared, and return what it holds: ``counts`` or ``lognorm``.

    Parameters
    ----------
    matrix
        Cells x genes.
    declared
        ``counts``: whole numbers from 0 to 2**24. ``lognorm``: log-normalised values, which are not negative, have
        fractions and stay below 50. ``detect``: either; values that are whole numbers only are counts.
    layers
        What `layer` could name in place of this matrix, for the message.

    Raises
    ------
    InputError
        If it holds something else; the message says what it looks like.
    """
    values = matrix.data
    if not np.issubdtype(values.dtype, np.number) and values.dtype != bool:
        raise InputError(f"X holds {values.dtype}, not numbers")
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        cells = np.unique(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(values)), side="right"))
        raise InputError(
            f"X has NaN or infinite values in {len(cells)} of {matrix.shape[0]} cells; remove those cells or genes"
        )
    if not len(values):
        return "counts" if declared == "detect" else declared
    least, largest = values.min(), values.max()
    if least < 0:
        raise InputError(f"X has negative values (down to {least:.6g}): it looks centred or scaled; {instead(layers)}")
    fractional = int(np.count_nonzero(values != np.rint(values))) if values.dtype.kind == "f" else 0
    if declared == "detect" and fractional and largest > LARGEST_LOGARITHM:
        raise InputError(
            f"X holds neither counts ({fractional} of its {len(values)} non-zero values have fractions) nor logarithms "
            f"(values up to {largest:.6g} are too large): {looks_like(matrix, layers)}"
        )
    if declared == "detect":
        declared = "lognorm" if fractional else "counts"
    if declared == "counts":
        if fractional:
            raise InputError(
                f"X is declared counts but {fractional} of its {len(values)} non-zero values have fractions: "
                f"{looks_like(matrix, layers)}"
            )
        if largest > LARGEST_COUNT:
            raise InputError(f"X has a count of {largest:.0f}, more than 2^24: beyond that float32 is not exact")
    elif not fractional:
        raise InputError(
            f"X is declared lognorm but holds whole numbers only (up to {largest:.0f}): it looks like counts; "
            "declare `x: counts` in params.yaml"
        )
    elif largest > LARGEST_LOGARITHM:
        raise InputError(
            f"X is declared lognorm but has values up to {largest:.6g}, too large for logarithms; "
            "give log1p of the normalised values, or counts"
        )
    return declared


def instead(layers: Sequence[str]) -> str:
    """Say which matrix to take in place of one that cannot be used."""
    if not layers:
        return "there is no layer to take in its place; give raw counts"
    return f"name the layer with counts as `layer:` in params.yaml (it has {', '.join(layers)})"


def looks_like(matrix: sp.csr_matrix, layers: Sequence[str]) -> str:
    """Say what a non-negative matrix with fractions may be, and what to do about it."""
    hint = instead(layers)
    if matrix.data.max() <= LARGEST_LOGARITHM:
        return f"it looks log-normalised (largest value {matrix.data.max():.3g}); {hint}, or declare `x: lognorm`"
    totals = matrix.sum(axis=1, dtype=np.float64).A1
    totals = totals[totals > 0]
    if totals.max() <= totals.min() * 1.001:
        return f"it looks normalised to {np.median(totals):.0f} per cell, without logarithm; {hint}"
    return f"corrected or estimated counts perhaps (largest value {matrix.data.max():.6g}); {hint}, or round them"

"""Reading the parts of a published h5ad that are needed, and no others: one matrix, ``obs`` and ``var``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem

from genept.core.errors import InputError, nearest

BYTES_AT_ONCE = 2**26  # of a matrix that is stored dense


def read(path: Path, layer: str | None = None) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Read the matrix (cells x genes, in the file's order), ``obs`` and ``var``.

    Parameters
    ----------
    layer
        The layer to take in place of X. ``raw`` means the layer of that name or, where there is none, the file's
        ``raw``, with its own ``var``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the file is damaged, was written by anndata before 0.7, or does not hold what is asked for.
    """
    path.stat()
    try:
        with h5py.File(path, "r") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix, var = find(file, path, layer)
            return read_matrix(matrix), read_elem(file["obs"]), read_elem(var)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  (reading a damaged file can raise nearly anything)
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: damaged, cut short or not an h5ad file ({reason}); remove it and fetch it again"
        ) from None


def read_matrix(stored: h5py.Dataset | h5py.Group) -> Any:
    """Read a matrix; of one that is stored dense only the values that are not zero, some cells at a time.

    Expression is mostly zeros: 60,000 cells of 36,000 genes take 9 GB dense in float32 and under 1 GB as CSR.
    """
    if not isinstance(stored, h5py.Dataset) or stored.ndim != 2 or stored.dtype.kind not in "biuf":
        return read_elem(stored)
    n_cells, n_genes = stored.shape
    n_at_once = max(1, BYTES_AT_ONCE // max(1, n_genes * stored.dtype.itemsize))
    if stored.chunks:  # whole chunks, or a compressed one would be unpacked more than once
        n_at_once = -(-n_at_once // stored.chunks[0]) * stored.chunks[0]
    blocks = [sp.csr_matrix(stored[first : first + n_at_once]) for first in range(0, max(1, n_cells), n_at_once)]
    return sp.vstack(blocks, format="csr")


def find(file: h5py.File, path: Path, layer: str | None) -> tuple[Any, Any]:
    """Return the stored matrix and the stored ``var`` that belongs to it."""
    missing = [name for name in ("obs", "var") if name not in file]
    if missing:
        raise InputError(f"{path}: an HDF5 file but not an h5ad file, it has no {' and no '.join(missing)}")
    if not isinstance(file["obs"], h5py.Group):
        raise InputError(
            f"{path}: written by anndata before 0.7; read and write it once with a current anndata, "
            "`anndata.read_h5ad(old).write_h5ad(new)`"
        )
    layers = choices(file)
    if layer is None:
        if "X" not in file or file["X"].attrs.get("encoding-type") == "null":
            raise InputError(f"{path}: has no X; name a layer as `layer:` in params.yaml ({said(layers)})")
        return file["X"], file["var"]
    if layer not in layers:
        raise InputError(f"{path}: no layer {layer!r}{nearest(layer, layers)}; {said(layers)}")
    if layer in file.get("layers", {}):
        return file["layers"][layer], file["var"]
    return file["raw/X"], file["raw/var"]


def choices(file: h5py.File) -> list[str]:
    """Return the names that `layer` can take in a file."""
    layers = list(file.get("layers", {}))
    return [*layers, *(["raw"] if "raw/X" in file and "raw" not in layers else [])]


def other_layers(path: Path, layer: str | None) -> list[str]:
    """Return the names that `layer` could take in a file in place of the one it has."""
    with h5py.File(path, "r") as file:
        return [name for name in choices(file) if name != layer]


def said(layers: list[str]) -> str:
    """Say which layers a file has."""
    return f"it has {', '.join(layers)}" if layers else "it has none"


def select_var(var: pd.DataFrame, keep: dict[str, Any], path: Path) -> np.ndarray:
    """Return which rows of `var` are genes, shape (n_var,): those whose columns have a value named in `keep`.

    Raises
    ------
    InputError
        If a column is not there, or no row is left.
    """
    chosen = np.ones(len(var), dtype=bool)
    for name, value in keep.items():
        values = column(var, name, path, "var", "keep_var")
        allowed = [str(item) for item in (value if isinstance(value, list) else [value])]
        chosen &= np.isin(values.astype(str), allowed)
        if not chosen.any():
            found = ", ".join(map(repr, sorted(values.astype(str).unique())[:5]))
            raise InputError(
                f"{path}: keep_var leaves no gene, var[{name!r}] is never {' or '.join(allowed)}; it has {found}"
            )
    return chosen


def column(table: pd.DataFrame, name: str, path: Path, part: str, key: str) -> pd.Series:
    """Return a column of ``obs`` or ``var``, or say which ones there are."""
    if name not in table.columns:
        known = [str(title) for title in table.columns]
        raise InputError(
            f"{path}: {part} has no column {name!r}, named in params.yaml under {key}{nearest(name, known)}; "
            f"it has {', '.join(known) or 'no columns'}"
        )
    return table[name]

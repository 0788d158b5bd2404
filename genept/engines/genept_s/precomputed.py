"""Vectors of cells that somebody else computed: tables in ``models/<model>/``, found by their cell ids.

A table is ``<name>.csv`` (a header; the first column the cell's id, the others its coordinates), or ``<name>.npy`` of
shape (n_rows, n_dimensions) with the ids in ``<name>.cells.txt``, one on each line. Ids are compared to the letter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from genept.core import files
from genept.core.errors import InputError


def embed(cells: AnnData, folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the vectors of the cells, from the one table in `folder` that has all of them, and notes on it.

    So a model may have one table for each dataset.

    Raises
    ------
    InputError
        If no table has all cells, or several have, or one is damaged, holds anything but numbers, or repeats a cell.
    """
    tables = {path: read(path) for path in sorted(folder.glob("*")) if path.suffix in (".npy", ".csv")}
    if not tables:
        raise InputError(f"{folder}: no vectors; put NAME.csv, or NAME.npy and NAME.cells.txt, there")
    absent = {path: ~cells.obs_names.isin(ids) for path, (_, ids) in tables.items()}
    complete = [path for path, mask in absent.items() if not mask.any()]
    if not complete:
        path, mask = min(absent.items(), key=lambda item: item[1].sum())
        raise InputError(
            f"{path}: lacks {mask.sum():,} of {cells.n_obs:,} cells, the first is {cells.obs_names[mask][0]!r}; ids "
            "must be equal to the letter"
        )
    if len(complete) > 1:
        raise InputError(f"{complete[0]} and {complete[1]} both have all {cells.n_obs:,} cells; keep one of them")
    vectors, ids = tables[complete[0]]
    notes = {"file": complete[0].name, "file_sha256": files.sha256(complete[0])}
    return np.asarray(vectors[ids.get_indexer(cells.obs_names)], dtype=np.float32), notes


def read(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Read a table: vectors of shape (n_rows, n_dimensions) and the cell ids of the rows."""
    try:
        vectors, ids = read_npy(path) if path.suffix == ".npy" else read_csv(path)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a table of vectors ({str(error).splitlines()[0]})") from None
    if ids.has_duplicates:
        raise InputError(f"{path}: cell id {ids[ids.duplicated()][0]!r} occurs more than once")
    return vectors, ids


def read_npy(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Map a matrix into memory and read the ids beside it."""
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    ids_path = path.with_suffix(".cells.txt")
    if not ids_path.is_file():
        raise InputError(f"{ids_path}: no such file; it names the cells of {path.name}, one on each line")
    ids = ids_path.read_text(encoding="utf-8").splitlines()
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or len(vectors) != len(ids):
        raise ValueError(f"{vectors.dtype} of shape {vectors.shape} for {len(ids)} cells")
    return vectors, pd.Index(ids, dtype=object)


def read_csv(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Read ids as text (an index column would turn 007 into a number) and everything else as numbers."""
    header = pd.read_csv(path, nrows=0).columns
    if len(header) < 2:
        raise ValueError("one column; expected ids and coordinates")
    table = pd.read_csv(path, dtype={header[0]: str}, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first columns for row names
        raise ValueError("rows have more columns than the header")
    return table.iloc[:, 1:].to_numpy(dtype=np.float32), pd.Index(table.iloc[:, 0].astype(str), dtype=object)

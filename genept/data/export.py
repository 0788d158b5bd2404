"""Embeddings into the ``obsm`` of somebody's AnnData, rows found by cell id."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from genept.core import files
from genept.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def add(
    source: Path, target: Path, ids: pd.Index, matrices: dict[str, np.ndarray], fill: bool = False
) -> tuple[int, int]:
    """Copy an h5ad file and add matrices to its ``obsm``; neither X nor anything else of the file is read.

    Parameters
    ----------
    ids
        The cells of the matrices' rows, shape (n_embedded,).
    matrices
        By name in ``obsm``, each of shape (n_embedded, n_dimensions).
    fill
        Give NaN to cells of the file that are not among `ids`, instead of raising.

    Returns
    -------
    tuple
        Number of cells in the file, and how many of them have no embedding.

    Raises
    ------
    InputError
        If the file is not an h5ad, an id occurs twice in it, or a cell has no embedding (no cell, with `fill`).
    """
    import h5py
    import numpy as np
    from anndata.io import read_elem, write_elem

    with files.replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        try:
            file = h5py.File(temporary, "r+")
        except OSError as error:
            raise InputError(f"{source}: not a readable h5ad file ({str(error).splitlines()[0]})") from None
        with file:
            if "obs" not in file or not isinstance(file["obs"], h5py.Group):
                raise InputError(f"{source}: no table obs in it; save it with a current anndata first")
            names = read_elem(file["obs"]).index.astype(str)
            if names.has_duplicates:
                raise InputError(f"{source}: cell id {names[names.duplicated()][0]!r} occurs more than once")
            rows = ids.get_indexer(names)
            absent = rows < 0
            if absent.all() or (absent.any() and not fill):
                hint = "" if absent.all() else "; --missing nan gives such cells NaN"
                raise InputError(
                    f"{source}: {absent.sum()} of {len(names)} cells have no embedding, the first is "
                    f"{names[absent][0]!r}{hint}"
                )
            if "obsm" not in file:
                write_elem(file, "obsm", {})
            for name, matrix in matrices.items():
                aligned = np.asarray(matrix)[rows]
                aligned[absent] = np.nan
                write_elem(file["obsm"], name, aligned)
    return len(names), int(absent.sum())

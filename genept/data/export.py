"""An h5ad for others: somebody's own, or one of a dataset's labelled cells, with embeddings in its ``obsm``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import read_elem, write_elem

from genept.core import files, hdf5
from genept.core.errors import InputError
from genept.core.pace import Pace
from genept.data.cells import COMPRESSION, write_elements

if TYPE_CHECKING:
    import pandas as pd

    from genept.data.cells import Cells

ROWS = 16_384  # of an embedding that are written at a time
VALUES = 1 << 18  # that are compressed together
SLACK = 1 << 20  # bytes, more than what HDF5 adds to some values
OF_CELL = 400  # bytes, more than a cell's id and annotations take


def add_to_h5ad(
    source: Path,
    target: Path,
    ids: pd.Index,
    matrices: dict[str, np.ndarray],
    fill: bool = False,
    begin: Callable[[Path], object] | None = None,
) -> tuple[int, int]:
    """Copy an h5ad file and add matrices to its ``obsm``, rows found by cell id; nothing else of the file is read.

    `matrices` are by their name in ``obsm``, each of shape (n_embedded, n_dimensions), of the cells `ids`; they may be
    memory-mapped. With `fill`, cells of the file that are not among `ids` get NaN. `begin` writes the file in place of
    a copy of `source`. `InputError` if the file is not an h5ad, an id occurs twice in it, or a cell has no embedding
    (no cell, with `fill`).

    Returns the number of cells in the file, and how many of them have no embedding.
    """
    with files.replacing(target) as temporary:
        if begin is None:
            shutil.copyfile(files.require_file(source), temporary)
        else:
            begin(temporary)
        files.check_room(temporary, SLACK + sum(matrix.nbytes for matrix in matrices.values()))
        with hdf5.opened(temporary, "r+", source) as file:
            if "obs" not in file or not isinstance(file["obs"], h5py.Group):
                raise InputError(f"{source}: no table obs in it; save it with a current anndata first")
            n_bytes = temporary.stat().st_size
            hdf5.require_size(hdf5.arrays(file["obs"]), n_bytes, source, "obs")
            hdf5.require_texts(file["obs"], n_bytes, source)
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
                if name in file["obsm"]:
                    del file["obsm"][name]
                array = file["obsm"].create_dataset(name, (len(rows), matrix.shape[1]), np.float32)
                array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
                for start in range(0, len(rows), ROWS):
                    own = slice(start, start + ROWS)
                    aligned = np.asarray(matrix[rows[own]])
                    aligned[absent[own]] = np.nan
                    array[own] = aligned
    return len(names), int(absent.sum())


def write_cells(cells: Cells, obs: pd.DataFrame, path: Path) -> None:
    """Write an h5ad of all cells, whose annotations are `obs`, as `label` writes one of few; X part by part."""
    x = sp.csr_matrix(cells.shape, dtype=np.float32)
    few = AnnData(x, obs=obs.astype("category"), var=cells.var)
    path.touch()
    files.check_room(path, SLACK + OF_CELL * cells.n_obs)
    with h5py.File(path, "w") as file, Pace(f"{path.name}: writing", cells.n_obs) as pace:
        write_elements(file, few, cells.uns)
        group = file["X"]
        for name, dtype in (("data", np.float32), ("indices", np.int32), ("indptr", np.int64)):
            del group[name]
            group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(VALUES,), **COMPRESSION)
        append(group["indptr"], np.zeros(1))
        for part in cells:
            file.flush()
            files.check_room(path, SLACK + part.X.data.nbytes + part.X.indices.nbytes + part.X.indptr.nbytes)
            n_before = len(group["data"])
            append(group["data"], part.X.data)
            append(group["indices"], part.X.indices)
            append(group["indptr"], part.X.indptr[1:].astype(np.int64) + n_before)
            pace.add(part.n_obs)


def append(array: h5py.Dataset, values: np.ndarray) -> None:
    """Put values behind those of an array."""
    start = len(array)
    array.resize(start + len(values), axis=0)
    array[start:] = values

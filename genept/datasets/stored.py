"""What stores of cells have in common, HDF5 and zarr: a matrix, ``obs`` and ``var``, checked before they are used.

A file of HDF5 is an h5ad, one modality of an h5mu, or what Cell Ranger writes; a zip holds a zarr store (v2 or v3) or
the three files of a matrix. The content says which, not the name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import click
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.experimental import read_dispatched

from genept.core import files, hdf5
from genept.core.errors import InputError, nearest
from genept.core.pace import readable
from genept.data.expression import CELLS_AT_ONCE
from genept.datasets import kinds
from genept.datasets.matrix import Matrix, in_blocks, in_memory

BYTES_AT_ONCE = 2**26  # of a matrix that is stored dense
IN_MEMORY = 2**26  # values, with their indices half a gigabyte: 30,000 cells of 2,000 genes each
READINGS = 4  # of a matrix that is read from its file: three, and its cells are written
EMPTY_CELLS = 10  # fewer cells, next to each other, may all be empty
SPARSENESS = 10  # times fewer values than places, at least, are expected in a matrix that is stored dense
MAX_RATIO = 250  # that a zip may unpack to, as in genept.downloads, of archives
SPARSE: dict[str, Any] = {"csr_matrix": sp.csr_matrix, "csc_matrix": sp.csc_matrix}
AGAIN = "write it again with a current anndata, `anndata.read_h5ad(old).write_h5ad(new)`"
ANNDATA, TENX, MATRIX = "anndata", "10x", "mtx"


class Stored(NamedTuple):
    """An open file: its kind, and its group of HDF5 or zarr, or the folder in a zip."""

    kind: str
    group: Any
    n_bytes: int  # of the file


@contextlib.contextmanager
def opened(path: Path, modality: str | None = None) -> Iterator[Stored]:
    """Open a file of cells; `InputError` says in one line what it is if it cannot be read, and how to convert it."""
    n_bytes = files.require_file(path).stat().st_size
    with path.open("rb") as stream:
        start = stream.read(len(kinds.HDF5))
    if start == kinds.HDF5:
        with hdf5.opened(path) as file:
            yield Stored(*describe(file, path, modality), n_bytes)
    elif start.startswith((kinds.ZIP, kinds.EMPTY_ZIP)):
        require_modality(path, modality, ())
        with opened_zip(path, n_bytes) as stored:
            yield stored
    else:
        raise InputError(f"{path}: is {kinds.hint(path) or 'no h5ad file, nor another file of cells that is read'}")


def describe(file: h5py.File, path: Path, modality: str | None) -> tuple[str, h5py.Group]:
    """Return the kind of an HDF5 file, and the group that has its matrix."""
    if isinstance(file.get("mod"), h5py.Group):
        require_modality(path, modality, list(file["mod"]))
        return ANNDATA, file["mod"][modality]
    require_modality(path, modality, ())
    groups = [group for group in file.values() if isinstance(group, h5py.Group)]
    tenx = [group for group in groups if {"barcodes", "data", "indices", "indptr", "shape"} <= set(group)]
    if len(tenx) > 1:
        names = ", ".join(group.name.strip("/") for group in tenx)
        raise InputError(f"{path}: counts of several genomes ({names}); write those of the human one as an h5ad")
    if tenx:
        return TENX, tenx[0]
    if {"row_attrs", "col_attrs"} <= set(file):
        raise InputError(f"{path}: is {kinds.LOOM}")
    if "assays" in file and "cell.names" in file:
        raise InputError(f"{path}: is {kinds.H5SEURAT}")
    return ANNDATA, file


def require_modality(path: Path, modality: str | None, known: Any) -> None:
    """Check that `modality` is one of an h5mu file's, and that no other file is asked for one."""
    if known and modality is None:
        raise InputError(f"{path}: has the modalities {', '.join(known)}; name one as `modality` in the dataset's file")
    if modality is not None and modality not in known:
        has = f"{nearest(modality, known)}; it has {', '.join(known)}" if known else "; it is no h5mu file"
        raise InputError(f"{path}: no modality {modality!r}{has}")


@contextlib.contextmanager
def opened_zip(path: Path, n_bytes: int) -> Iterator[Stored]:
    """Open the zarr store or the folder with a matrix that a zip holds, at its top or in a folder."""
    with (
        hdf5.explained(path),
        zipfile.ZipFile(path) as archive,
    ):
        n_unpacked = sum(info.file_size for info in archive.infolist())
        if n_unpacked > hdf5.SLACK + MAX_RATIO * n_bytes:
            raise InputError(f"{path}: unpacks to {n_unpacked / 1e6:,.0f} MB; no cells do; zip the folder again")
        names = {PurePosixPath(name) for name in archive.namelist()}
        stores = {name.parent for name in names if name.name in (".zgroup", "zarr.json")}
        matrices = {name.parent for name in names if name.name in ("matrix.mtx", "matrix.mtx.gz")}
        if not stores and not matrices:
            raise InputError(f"{path}: is {kinds.hint_of_zip(archive)}")
        root = min(stores or matrices, key=lambda name: (len(name.parts), name)).as_posix()
        if not stores:
            yield Stored(MATRIX, zipfile.Path(archive, "" if root == "." else f"{root}/"), n_bytes)
            return
        import zarr

        with zarr.storage.ZipStore(path, mode="r") as store:
            group = zarr.open_group(store, path="" if root == "." else root, mode="r", use_consolidated=False)
            yield Stored(ANNDATA, group, n_bytes)


def arrays(item: Any) -> list[Any]:
    """Return all arrays within a group or array of HDF5 or zarr."""
    if not hasattr(item, "keys"):
        return [item]
    return (
        hdf5.arrays(item)
        if isinstance(item, h5py.Group)
        else [one for _, one in item.arrays()] + [array for _, group in item.groups() for array in arrays(group)]
    )


def read_table(stored: Stored, name: str, path: Path) -> pd.DataFrame:
    """Read ``obs`` or ``var``; numbers get a type that pandas knows on this machine."""
    item, what = stored.group[name], name.rpartition("/")[2]
    if not hasattr(item, "keys"):
        raise InputError(f"{path}: written by anndata before 0.7; read and {AGAIN}")
    hdf5.require_size(arrays(item), stored.n_bytes, path, what)
    if isinstance(item, h5py.Group):
        hdf5.require_texts(item, stored.n_bytes, path)
    table = read_dispatched(item, lambda read, _, one, iospec: native(read(one)))
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{path}: {what} is no table; {AGAIN}")
    if not table.columns.is_unique:
        raise InputError(f"{path}: {what} has column {table.columns[table.columns.duplicated()][0]!r} twice; {AGAIN}")
    return table


def native(values: Any) -> Any:
    """Return numbers in this machine's byte order, float16 as float32 and longer floats as float64; others as is."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufc":
        return values
    kind = values.dtype.newbyteorder("=")
    if kind.kind == "f" and kind.itemsize not in (4, 8):
        kind = np.dtype(np.float32 if kind.itemsize < 4 else np.float64)
    return values.astype(kind, copy=False)


def read_matrix(stored: Stored, name: str, shape: tuple[int, int], path: Path, modality: str | None = None) -> Matrix:
    """Read a matrix of cells x genes, of one that is stored dense the values that are not zero, some cells at a time.

    `shape` is what ``obs`` and ``var`` say; `InputError` if the matrix is another one, holds no numbers or is not a
    valid sparse matrix. Expression is mostly zeros: 60,000 cells of 36,000 genes take 9 GB dense in float32 and under
    1 GB as CSR. A matrix of more than `IN_MEMORY` values is read from the file whenever it is needed, unless its values
    are in the order of the genes (CSC): then no cells can be read without all others.
    """
    item, title = stored.group[name], name.removesuffix("/X") if name != "X" else name
    kind = item.attrs.get("encoding-type") or f"{item.attrs.get('h5sparse_format', '')}_matrix"
    read_block: Callable[..., sp.csr_matrix] = read_rows
    note = ""
    if hasattr(item, "keys"):
        if kind not in SPARSE:
            raise InputError(f"{path}: {title} is stored as {kind}, not as a matrix; {AGAIN}")
        declared = tuple(map(int, item.attrs["shape" if "shape" in item.attrs else "h5sparse_shape"]))
        require_shape(declared, shape, title, path)
        if kind == "csc_matrix" or item["data"].size <= IN_MEMORY:
            return in_memory(read_sparse(item, SPARSE[kind], shape, title, stored, path))
        require_parts(item, shape[0], shape, title, stored, path, is_whole=False)
        n_at_once, dtype = CELLS_AT_ONCE, native(item["data"][:1]).dtype
    else:
        require_shape(item.shape or (), shape, title, path)
        require_numbers(item.dtype, title, path)
        n_bytes = item.id.get_storage_size() if isinstance(item, h5py.Dataset) else stored.n_bytes
        hdf5.require_size([item], n_bytes, path, title, is_whole=False)
        n_at_once = max(1, BYTES_AT_ONCE // max(1, shape[1] * item.dtype.itemsize))
        if chunks := getattr(item, "shards", None) or item.chunks:  # whole ones, or they would be unpacked repeatedly
            n_at_once = -(-n_at_once // chunks[0]) * chunks[0]
        note = "" if isinstance(item, h5py.Dataset) else note_lost(item, title, path)
        read_block, dtype = read_dense_rows, native(np.empty(0, item.dtype)).dtype

    def blocks(rows: np.ndarray | None) -> Iterator[sp.csr_matrix]:
        with opened(path, modality) as again:

            def read(first: int, last: int) -> sp.csr_matrix:
                block = read_block(again.group[name], first, last, shape[1], title, path)
                block.eliminate_zeros()
                return block

            yield from in_blocks(read, shape[0], rows, n_at_once)

    matrix = Matrix(blocks, shape, dtype, note=note)
    is_small = not hasattr(item, "keys") and math.prod(shape) <= IN_MEMORY * SPARSENESS
    if is_small and shape[0]:
        return dataclasses.replace(in_memory(sp.vstack([*matrix.blocks(None)], format="csr")), note=note)
    began = time.perf_counter()
    n_read = next(matrix.blocks(None)).shape[0]
    seconds = READINGS * (time.perf_counter() - began) * shape[0] / n_read
    click.echo(f"{path.name}: {shape[0]:,} cells, read {n_at_once:,} at a time: about {readable(seconds)}", err=True)
    return matrix


def read_dense_rows(item: Any, first: int, last: int, n_genes: int, title: str, path: Path) -> sp.csr_matrix:
    """Read some cells of a matrix that is stored dense."""
    return sp.csr_matrix(native(item[first:last]))


def read_rows(group: Any, first: int, last: int, n_genes: int, title: str, path: Path) -> sp.csr_matrix:
    """Read some cells of a CSR matrix, checking that they are ones."""
    indptr = native(group["indptr"][first : last + 1]).astype(np.int64)
    start, stop = int(indptr[0]), int(indptr[-1])
    if np.any(np.diff(indptr) < 0) or not 0 <= start <= stop <= group["data"].size:
        raise InputError(f"{path}: {title} is no valid sparse matrix, its index pointer descends; {AGAIN}")
    values, indices = (native(group[key][start:stop]) for key in ("data", "indices"))
    return checked(sp.csr_matrix, values, indices, indptr - start, (last - first, n_genes), title, path)


def read_sparse(group: Any, kind: Any, shape: tuple[int, int], title: str, stored: Stored, path: Path) -> Any:
    """Read ``data``, ``indices`` and ``indptr`` as a matrix of that kind and shape, checking that they are one."""
    parts = require_parts(group, shape[0] if kind is sp.csr_matrix else shape[1], shape, title, stored, path)
    values, indices, indptr = (native(parts[key][()]) for key in ("data", "indices", "indptr"))
    return checked(kind, values, indices, indptr, shape, title, path)


def require_parts(
    group: Any,
    n_major: int,
    shape: tuple[int, int],
    title: str,
    stored: Stored,
    path: Path,
    is_whole: bool = True,
) -> dict[str, Any]:
    """Return the three arrays of a sparse matrix; refuse those that do not fit each other, or are not all there."""
    parts = {key: group[key] for key in ("data", "indices", "indptr")}
    sizes = {key: tuple(part.shape) for key, part in parts.items()}
    wrong = f"{path}: {title} is no valid sparse matrix, "
    if sizes["indptr"] != (n_major + 1,) or sizes["data"] != sizes["indices"] or len(sizes["data"]) != 1:
        raise InputError(f"{wrong}its parts do not fit {shape[0]} cells and {shape[1]} genes ({sizes}); {AGAIN}")
    if any(parts[key].dtype.kind not in "iu" for key in ("indices", "indptr")):
        raise InputError(f"{wrong}its indices are no whole numbers; {AGAIN}")
    require_numbers(parts["data"].dtype, title, path)
    if lost := max(n_lost(parts["data"]), n_lost(parts["indices"])):
        raise InputError(f"{wrong}{lost} chunks of it are not there; copy the whole store again")
    hdf5.require_size(parts.values(), stored.n_bytes, path, title, is_whole)
    (n_values,), start, end = sizes["data"], int(parts["indptr"][0]), int(parts["indptr"][-1])
    if start or end != (n_values if n_major else 0):
        where = f"begins at {start}" if start else f"ends at {end}"
        raise InputError(f"{wrong}{n_values} values, but its index pointer {where}; {AGAIN}")
    return parts


def n_lost(array: Any) -> int:
    """Return how many chunks of a zarr array are not there; of HDF5 none, and none if the last shard is not full."""
    return max(0, getattr(array, "nchunks", 0) - getattr(array, "nchunks_initialized", 0))


def note_lost(array: Any, title: str, path: Path) -> str:
    """Say which chunks (or shards) of a dense zarr array are not in its zip; "" if all are.

    They are read as zeros, and zarr itself leaves out chunks of zeros. `InputError` if some cells have no chunk at all.
    """
    sizes = array.shards or array.chunks
    grid = [-(-n // size) for n, size in zip(array.shape, sizes, strict=True)]
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    keys = (f"{array.path}/{array.metadata.encode_chunk_key(at)}" for at in np.ndindex(*grid))
    is_lost = np.array([key not in names for key in keys], dtype=bool).reshape(grid)
    for number in np.flatnonzero(is_lost.all(axis=1)):
        first, last = number * sizes[0], min((number + 1) * sizes[0], array.shape[0])
        if last - first >= EMPTY_CELLS:
            raise InputError(
                f"{path}: the store has no value of {title} for cells {first + 1} to {last}, so it is not whole; copy "
                "all of it again"
            )
    if not is_lost.any():
        return ""
    return (
        f"{path.name}: {np.count_nonzero(is_lost)} of {is_lost.size} chunks of {title} are not in the store and count "
        "as zeros; zarr leaves chunks of zeros out, but a copy may have lost them"
    )


def checked(
    kind: Any,
    values: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    shape: tuple[int, int],
    title: str,
    path: Path,
) -> Any:
    """Return a sparse matrix of the kind, whose indices are in range and in each row or column different."""
    try:
        matrix = kind((values, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
        matrix.sum_duplicates()
        if matrix.nnz != len(values):
            raise ValueError("it has several values for one gene of a cell")
    except ValueError as error:
        raise InputError(f"{path}: {title} is no valid sparse matrix, {hdf5.one_line(error)}; {AGAIN}") from None
    return matrix


def require_shape(shape: tuple[int, ...], expected: tuple[int, int], title: str, path: Path) -> None:
    """Refuse a matrix that does not belong to its tables: with other columns, genes would be others silently."""
    if tuple(shape) != expected:
        size = " x ".join(map(str, shape)) or "of a single value"
        raise InputError(
            f"{path}: {title} has shape {size}, but obs has {expected[0]} rows and var {expected[1]}; {AGAIN}"
        )


def require_numbers(dtype: np.dtype, title: str, path: Path) -> None:
    """Refuse complex numbers, texts and other content."""
    if dtype.kind not in "biuf":
        raise InputError(f"{path}: {title} holds {dtype}, not numbers")

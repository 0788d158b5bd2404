"""Files of counts that GEO has for each sample: a dense table, or the three files of 10x Genomics.

Files may be compressed, and none is unpacked further than a table can reach: what a few hundred kilobytes unpack to may
fill the memory. Tables of counts compress at most some 50 times, so a file that unpacks to more than 250 times its size
is none; a small one may, up to 64 MiB. To know that, a compressed file is unpacked once more before it is read.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mminfo, mmread

from genept.core import files, hdf5
from genept.core.errors import InputError
from genept.datasets import kinds, stored

MAX_RATIO = 250  # as in genept.downloads, of archives
SLACK = 64 << 20  # a small file of zeros does no harm
AT_ONCE = 1 << 20
ROWS = 1000  # of a dense table read at a time
LINE = 4  # bytes, at least, of a value in a file of a matrix
COMPRESSIONS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

Folder = Path | zipfile.Path  # or a file in one


class Counts(NamedTuple):
    """What a file or folder of counts holds: cells x genes, the cells' barcodes, a table indexed by gene symbol."""

    x: sp.csr_matrix
    barcodes: list[str]
    genes: pd.DataFrame


def read_counts(path: Path) -> Counts:
    """Read a file or a folder of counts; `InputError` if it is damaged or something else."""
    if path.is_file():
        with path.open("rb") as stream:
            start = stream.read(len(kinds.HDF5))
        if start.startswith((kinds.HDF5, kinds.ZIP)):
            with stored.opened(path) as file:
                return read_stored(file, path)
    with damage_explained(path, "a table of counts"):
        return read_tenx(path) if path.is_dir() else read_dense(path)


def read_stored(file: stored.Stored, path: Path) -> Counts:
    """Read the counts of 10x Genomics in an HDF5 file, of Cell Ranger 2 or later, or in a zip of the three files."""
    if file.kind == stored.MATRIX:
        return read_tenx(file.group)
    if file.kind != stored.TENX:
        raise InputError(f"{path}: no counts of 10x Genomics; an h5ad is named raw.h5ad, without `samples`")
    group = file.group
    features = group.get("features", group)
    hdf5.require_size(stored.arrays(group), file.n_bytes, path, "it")
    hdf5.require_texts(group, file.n_bytes, path)
    names = {"gene_ids": ("id", "genes"), "symbol": ("name", "gene_names"), "feature_types": ("feature_type",)}
    texts = {key: features[name].asstr()[()] for key, known in names.items() for name in known if name in features}
    barcodes, genes = list(group["barcodes"].asstr()[()]), pd.DataFrame(texts).set_index("symbol")
    shape = tuple(map(int, group["shape"][()]))[::-1]
    stored.require_shape(shape, (len(barcodes), len(genes)), "its matrix", path)
    matrix = stored.read_sparse(group, sp.csr_matrix, (len(barcodes), len(genes)), "its matrix", file, path)
    return only_genes(matrix, barcodes, genes)


def only_genes(matrix: sp.csr_matrix, barcodes: list[str], features: pd.DataFrame) -> Counts:
    """Leave out features other than gene expression, and the column that told them apart."""
    if "feature_types" in features:
        is_gene = (features["feature_types"] == "Gene Expression").to_numpy()
        matrix, features = matrix[:, np.flatnonzero(is_gene)], features[is_gene].drop(columns="feature_types")
    return Counts(matrix, barcodes, number_repeated_genes(features))


@contextlib.contextmanager
def damage_explained(path: Path, expected: str) -> Iterator[None]:
    """Turn what damaged or other files raise into an `InputError`; that a file is missing passes."""
    if not path.is_dir():
        files.require_file(path)
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
        if not path.is_dir() and (hint := kinds.hint(path)) not in ("", kinds.TABLE, kinds.PACKED):
            raise InputError(f"{path}: is {hint}") from None
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: damaged, or not {expected} ({reason}); fetch it again") from None


def read_dense(path: Path) -> Counts:
    """Read a table of genes in rows and cells in columns, separated by tabs or commas, some rows at a time."""
    blocks, genes, barcodes = [], list[str](), list[str]()
    with open_bounded(path) as stream:
        header = stream.readline()
        separator = "\t" if b"\t" in header else ","
        if header and separator.encode() not in header:
            raise InputError(
                f"{path}: no tab or comma was found in its first line, which should name the cells; separate the "
                "columns by tabs (R's write.table does with sep = '\\t')"
            )
        stream.seek(0)
        # a gene may be called NA
        for rows in pd.read_csv(stream, sep=separator, index_col=0, chunksize=ROWS, keep_default_na=False):
            barcodes = [str(name) for name in rows.columns]
            blocks.append(sp.csr_matrix(rows.to_numpy(dtype=np.float32)))
            genes += [str(name) for name in rows.index]
    if not genes or not barcodes:
        raise ValueError("it has no rows or no columns")
    return Counts(sp.vstack(blocks).T.tocsr(), barcodes, number_repeated_genes(pd.DataFrame(index=genes)))


def read_tenx(folder: Folder) -> Counts:
    """Read the three files of 10x Genomics, of Cell Ranger 2 (``genes.tsv``) or later (``features.tsv.gz``).

    Features other than gene expression are left out.
    """
    barcodes = read_lines(find_file(folder, "barcodes.tsv"))[0]
    features = read_lines(find_file(folder, "features.tsv", "genes.tsv"))
    path = find_file(folder, "matrix.mtx")
    with open_bounded(path) as stream:
        *shape, n_values, _, field, _ = mminfo(stream)
        if shape != [len(features), len(barcodes)]:
            raise ValueError(f"{len(features)} genes and {len(barcodes)} barcodes for a matrix of {tuple(shape)}")
        if field not in ("real", "double", "integer", "unsigned-integer", "pattern"):
            raise ValueError(f"its values are {field}, not numbers")
        if LINE * n_values > SLACK + MAX_RATIO * size(path):
            raise ValueError(f"it declares {n_values} values, more than it can hold")
        stream.seek(0)
        matrix = sp.csr_matrix(mmread(stream)).T.tocsr()
    titles = ["gene_ids", "symbol", "feature_types"] if len(features.columns) > 1 else ["symbol"]
    columns = dict(zip(features.columns, titles, strict=False))
    genes = features.rename(columns=columns)[[*columns.values()]].set_index("symbol")
    return only_genes(matrix.astype(np.float32), list(barcodes), genes)


def number_repeated_genes(genes: pd.DataFrame) -> pd.DataFrame:
    """Give symbols that occur again the endings -1, -2, ... as Seurat and scanpy do, so that samples can be joined."""
    times = genes.groupby(level=0).cumcount()
    names = [f"{name}-{time}" if time else name for name, time in zip(genes.index, times, strict=True)]
    return genes.set_axis(names)


def find_file(folder: Folder, *names: str) -> Any:
    """Return the first file of these names that is there, compressed or not."""
    for name in names:
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                return path
    raise InputError(f"{folder}: no {' or '.join(names)}, compressed or not")


def read_lines(path: Folder) -> pd.DataFrame:
    """Read lines of tab-separated texts; columns are numbered from 0."""
    with open_bounded(path) as stream:
        return pd.read_csv(stream, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def size(path: Folder) -> int:
    """Return the bytes of a file on the disk or in a zip."""
    return path.stat().st_size if isinstance(path, Path) else path.root.getinfo(path.at).file_size


def open_bounded(path: Folder) -> IO[bytes]:
    """Open a file that may be compressed, as its ending says; refuse one that unpacks to more than a table does."""
    if path.suffix not in COMPRESSIONS:
        return cast(IO[bytes], path.open("rb"))
    unpack, n_left = COMPRESSIONS[path.suffix], SLACK + MAX_RATIO * size(path)
    with path.open("rb") as packed, unpack(packed) as stream:
        while chunk := stream.read(AT_ONCE):
            n_left -= len(chunk)
            if n_left < 0:
                raise InputError(
                    f"{path}: unpacks to more than {MAX_RATIO} times its size; no table of counts does; if it is one, "
                    "unpack it and name the unpacked file in the dataset's file"
                )
    return cast(IO[bytes], unpack(path.open("rb")))

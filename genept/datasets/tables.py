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
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mmread

from genept.core.errors import InputError

MAX_RATIO = 250  # as in genept.downloads, of archives
SLACK = 64 << 20  # a small file of zeros does no harm
AT_ONCE = 1 << 20
ROWS = 1000  # of a dense table read at a time
COMPRESSIONS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Counts(NamedTuple):
    """What a file or folder of counts holds: cells x genes, the cells' barcodes, a table indexed by gene symbol."""

    x: sp.csr_matrix
    barcodes: list[str]
    genes: pd.DataFrame


def read_counts(path: Path) -> Counts:
    """Read a file or a folder of counts; `InputError` if it is damaged or something else."""
    with damage_explained(path, "a table of counts"):
        return read_tenx(path) if path.is_dir() else read_dense(path)


@contextlib.contextmanager
def damage_explained(path: Path, expected: str) -> Iterator[None]:
    """Turn what damaged or other files raise into an `InputError`; that a file is missing passes."""
    path.stat()
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
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


def read_tenx(folder: Path) -> Counts:
    """Read the three files of 10x Genomics, of Cell Ranger 2 (``genes.tsv``) or later (``features.tsv.gz``).

    Features other than gene expression are left out.
    """
    with open_bounded(find_file(folder, "matrix.mtx")) as stream:
        matrix = sp.csr_matrix(mmread(stream)).T.tocsr()
    barcodes = read_lines(find_file(folder, "barcodes.tsv"))[0]
    features = read_lines(find_file(folder, "features.tsv", "genes.tsv"))
    if matrix.shape != (len(barcodes), len(features)):
        raise ValueError(f"{len(features)} genes and {len(barcodes)} barcodes for a matrix of {matrix.T.shape}")
    if 2 in features:  # the kind of a feature
        is_gene = (features[2] == "Gene Expression").to_numpy()
        matrix, features = matrix[:, np.flatnonzero(is_gene)], features[is_gene]
    genes = pd.DataFrame({"gene_ids": features[0].to_list()}, index=features[1])
    return Counts(matrix.astype(np.float32), list(barcodes), number_repeated_genes(genes))


def number_repeated_genes(genes: pd.DataFrame) -> pd.DataFrame:
    """Give symbols that occur again the endings -1, -2, ... as Seurat and scanpy do, so that samples can be joined."""
    times = genes.groupby(level=0).cumcount()
    names = [f"{name}-{time}" if time else name for name, time in zip(genes.index, times, strict=True)]
    return genes.set_axis(names)


def find_file(folder: Path, *names: str) -> Path:
    """Return the first file of these names that is there, compressed or not."""
    for name in names:
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                return path
    raise InputError(f"{folder}: no {' or '.join(names)}, compressed or not")


def read_lines(path: Path) -> pd.DataFrame:
    """Read lines of tab-separated texts; columns are numbered from 0."""
    with open_bounded(path) as stream:
        return pd.read_csv(stream, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def open_bounded(path: Path) -> IO[bytes]:
    """Open a file that may be compressed, as its ending says; refuse one that unpacks to more than a table does."""
    if path.suffix not in COMPRESSIONS:
        return path.open("rb")
    unpack, n_left = COMPRESSIONS[path.suffix], SLACK + MAX_RATIO * path.stat().st_size
    with unpack(path) as stream:
        while chunk := stream.read(AT_ONCE):
            n_left -= len(chunk)
            if n_left < 0:
                raise InputError(
                    f"{path}: unpacks to more than {MAX_RATIO} times its size; no table of counts does; if it is one, "
                    "unpack it and name the unpacked file in the dataset's file"
                )
    return unpack(path)

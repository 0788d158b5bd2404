"""Files of counts that GEO has for each sample: a dense table, or the three files of 10x Genomics.

Files may be compressed, and none is unpacked further than a table can reach: what a few hundred kilobytes unpack to may
fill the memory. Tables of counts compress at most some 50 times, so a file that unpacks to more than 250 times its size
is none; a small one may, up to 64 MiB.
"""

from __future__ import annotations

import bz2
import gzip
import io
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
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


class Counts(NamedTuple):
    """What a file or folder of counts holds: cells x genes, the cells' barcodes, a table indexed by gene symbol."""

    x: sp.csr_matrix
    barcodes: list[str]
    genes: pd.DataFrame


def read_counts(path: Path) -> Counts:
    """Read a file or a folder of counts."""
    path.stat()
    try:
        return read_tenx(path) if path.is_dir() else read_dense(path)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path}: damaged, or no table of counts ({first_line(error)}); fetch it again") from None


def read_dense(path: Path) -> Counts:
    """Read a table of genes in rows and cells in columns, separated by tabs or commas, some rows at a time."""
    with open_bounded(path) as stream:
        header = stream.readline()
    separator = "\t" if b"\t" in header else ","
    if header and separator.encode() not in header:
        raise InputError(
            f"{path}: no tab or comma was found in its first line, which should name the cells; separate the columns "
            "by tabs (R's write.table does with sep = '\\t')"
        )
    blocks, genes, barcodes = [], list[str](), list[str]()
    with open_bounded(path) as stream:
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
    barcodes = [fields[0] for fields in read_lines(find_file(folder, "barcodes.tsv"))]
    features = list(read_lines(find_file(folder, "features.tsv", "genes.tsv")))
    if matrix.shape != (len(barcodes), len(features)):
        raise ValueError(f"{len(features)} genes and {len(barcodes)} barcodes for a matrix of {matrix.T.shape}")
    is_gene = [i for i, fields in enumerate(features) if len(fields) < 3 or fields[2] == "Gene Expression"]
    genes = pd.DataFrame({"gene_ids": [features[i][0] for i in is_gene]}, index=[features[i][1] for i in is_gene])
    return Counts(matrix[:, is_gene].astype(np.float32), barcodes, number_repeated_genes(genes))


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


def read_lines(path: Path) -> Iterator[list[str]]:
    """Yield the tab-separated fields of each line."""
    with io.TextIOWrapper(open_bounded(path), encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\r\n").split("\t")


def first_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split())[:200]


class Bounded(io.RawIOBase):
    """The unpacked bytes of a file, of which no more than `limit` can be read."""

    def __init__(self, stream: IO[bytes], path: Path, limit: int) -> None:
        self.stream, self.path, self.limit, self.n_bytes = stream, path, limit, 0

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; return how many."""
        content = self.stream.read(len(buffer))
        self.n_bytes += len(content)
        if self.n_bytes > self.limit:
            raise InputError(
                f"{self.path}: unpacks to more than {self.limit >> 20} MiB, over {MAX_RATIO} times its size; no table "
                "of counts does; if it is one, unpack it and name the unpacked file in the dataset's file"
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file, too."""
        self.stream.close()
        super().close()


def open_bounded(path: Path) -> IO[bytes]:
    """Open a file that may be compressed, as its ending says, for reading what it unpacks to."""
    if path.suffix not in COMPRESSIONS:
        return path.open("rb")
    limit = SLACK + MAX_RATIO * path.stat().st_size
    return io.BufferedReader(Bounded(COMPRESSIONS[path.suffix](path, "rb"), path, limit), AT_ONCE)

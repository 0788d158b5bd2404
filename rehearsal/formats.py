"""Files and archives in the forms in which the sources have them, as bytes; equal content gives equal bytes."""

from __future__ import annotations

import gzip
import io
import tempfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tests.downloads.fetching import tar

DATE = (2024, 3, 1, 12, 0, 0)


def h5ad(x: Any, obs: pd.DataFrame, var: pd.DataFrame, **rest: Any) -> bytes:
    """Return an h5ad as anndata writes it."""
    import anndata

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # that ids are not unique, as in the real file
        path = Path(folder) / "file.h5ad"
        anndata.AnnData(x, obs=obs, var=var, **rest).write_h5ad(path)
        return path.read_bytes()


def dense_table(x: np.ndarray, genes: Sequence[str], cells: Sequence[str]) -> bytes:
    """Return GSE155468's form: genes in rows, cells in columns, tabs, compressed; `x` is cells x genes."""
    lines = [
        "\t" + "\t".join(cells),
        *("\t".join([gene, *map(str, row)]) for gene, row in zip(genes, x.T, strict=True)),
    ]
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def tenx(
    x: np.ndarray, genes: Sequence[str], ids: Sequence[str], cells: Sequence[str], version: int
) -> dict[str, bytes]:
    """Return the three files of 10x Genomics, by their names without ``.gz``; `x` is cells x genes.

    Cell Ranger 2 has ``genes.tsv`` with two columns, 3 has ``features.tsv`` with three.
    """
    matrix = sp.coo_matrix(x.T)
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n{x.shape[1]} {x.shape[0]} {matrix.nnz}\n"
    order = np.lexsort((matrix.row, matrix.col))
    body = io.StringIO()
    np.savetxt(body, np.c_[matrix.row + 1, matrix.col + 1, matrix.data][order], fmt="%d")
    rows = [
        f"{ident}\t{gene}" + ("\tGene Expression" if version > 2 else "")
        for ident, gene in zip(ids, genes, strict=True)
    ]
    texts = {
        "barcodes.tsv": "\n".join(cells) + "\n",
        "features.tsv" if version > 2 else "genes.tsv": "\n".join(rows) + "\n",
        "matrix.mtx": head + body.getvalue(),
    }
    return {name: gzip.compress(text.encode(), mtime=0) for name, text in texts.items()}


def pack(name: str, members: Mapping[str, bytes]) -> bytes:
    """Return the archive that the end of `name` says: tar, tar.gz or zip."""
    if not name.endswith(".zip"):
        packed = tar(dict(members))
        return gzip.compress(packed, 1, mtime=0) if name.endswith("gz") else packed
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in dict.fromkeys(f"{name.rpartition('/')[0]}/" for name in members if "/" in name):
            archive.writestr(zipfile.ZipInfo(folder, DATE), b"")
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()

"""Counts that were deposited sample by sample, joined with a table of the authors' labels.

As GEO has them: a dense table of each sample (genes in rows, cells in columns, tab- or comma-separated), or the three
files of 10x Genomics. In the entry of a data set::

    samples:                      # per sample its file, or its folder with matrix.mtx.gz, barcodes and features
      Con4: samples/Con4.txt.gz
      PA1: {path: all, suffix: 1} # of a folder with all samples together: the cells whose barcode ends in -1
    labels:
      file: labels.csv            # the first column holds the barcodes, with whatever the authors put around them
      sample: orig.ident          # its column that tells samples apart
      names: {ATAA1: TAA1}        # where it calls a sample otherwise
      unlabelled: drop            # or keep
      least_share: 0.5            # of the table's rows of a sample that must find their cell; fewer are an error
    parts:                        # optional: samples that are a reference, and those that are the query
      reference: [Con4]
      query: [PA1]

Barcodes are compared by their letters A, C, G, T and N: programs change the ``-1`` behind them in many ways. Cells
without a label are left out, since the authors' quality control left them out, or with ``unlabelled: keep`` have
missing labels. Where there is no table, because the
authors gave none, every cell is read, and its only annotation is the ``sample``.
"""

from __future__ import annotations

import io
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mmread

from genept.core.errors import InputError
from genept.data.cells import PART
from genept.datasets import counts, obs
from genept.datasets import unpack as unpacked
from genept.datasets.entry import Entry, LabelTable
from genept.datasets.raw import Whole

ROWS = 1000  # of a dense table read at a time
SAMPLE = "sample"
BARCODE = re.compile(r"[ACGTN]{8,}")
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeDecodeError, ValueError)


class Counts(NamedTuple):
    """What a file or folder of counts holds: cells x genes, the cells' barcodes, a table indexed by gene symbol."""

    x: sp.csr_matrix
    barcodes: list[str]
    genes: pd.DataFrame


def read(folder: Path, entry: Entry) -> Whole:
    """Read all samples and give their cells the labels of the table.

    Raises
    ------
    InputError
        If a file is missing, damaged or no such table, a barcode is there twice in a sample, or no cell has a label.
    """
    path, table = folder, None
    if entry.labels:
        path = folder / entry.labels.file
        table = read_labels(path, entry.labels)
    elif other := [name for name, column in entry.obs.items() if column != SAMPLE]:
        raise InputError(
            f"{folder}: {other[0]} is column {entry.obs[other[0]]!r} of a table of labels that is not there; without "
            f"it only the `{SAMPLE}` of a cell is known; derive {other[0]} from that, or leave it out"
        )
    matrices, tables, var, notes = [], [], None, []
    whole_folders: dict[str, Counts] = {}
    for sample, files in entry.samples.items():
        if files.path not in whole_folders:
            whole_folders = {files.path: read_sample(folder / files.path)}
        x, barcodes, genes = of_suffix(whole_folders[files.path], files.suffix, folder / files.path)
        cells = barcode_letters(barcodes, f"{folder / files.path}", sample)
        if table is None:
            rows, found = np.arange(len(cells)), pd.DataFrame(index=pd.Index(cells))
            notes.append(f"{sample}: {len(cells)} cells counted")
        else:
            assert entry.labels is not None
            rows, found, note = labelled(table, sample, cells, path, folder / files.path, entry.labels.least_share)
            notes.append(note)
            if entry.labels.keeps_unlabelled:
                rows, found = np.arange(len(cells)), found.reindex(cells)
        found.index = pd.Index([f"{sample}_{barcode}" for barcode in found.index])
        matrices.append((x[rows], genes))
        tables.append(found.assign(**{SAMPLE: sample}))
        var = genes if var is None else var[var.index.isin(genes.index)]
    whole_folders.clear()
    assert var is not None
    if not len(var):
        raise InputError(f"{folder}: the samples have no gene in common")
    x = sp.vstack([matrix[:, genes.index.get_indexer(var.index)] for matrix, genes in matrices], format="csr")
    x = counts.to_csr(x)
    try:
        content = counts.check(x, entry.x)
    except InputError as error:
        raise InputError(f"{folder}: {error.message}") from None
    joined = pd.concat(tables)
    labels = obs.to_schema(joined, entry.obs, path)
    if entry.parts:
        labels[PART] = joined[SAMPLE].map(entry.parts).to_numpy()
    return Whole(x, labels, var, content, notes)


def labelled(
    table: pd.DataFrame, sample: str, cells: list[str], table_path: Path, counts_path: Path, least_share: float
) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Find the labelled cells of a sample: their rows, their part of the table, and a sentence with the numbers.

    Raises
    ------
    InputError
        If the table does not know the sample, or too few of its barcodes have a cell.
    """
    if sample not in table.index.get_level_values(0):
        known = ", ".join(table.index.get_level_values(0).unique()[:20])
        raise InputError(f"{table_path}: no cell of sample {sample!r}; it has {known}")
    of_sample = cast(pd.DataFrame, table.loc[sample])
    places = pd.Index(cells).get_indexer(of_sample.index)
    n_found = int((places >= 0).sum())
    if n_found == 0 or n_found < least_share * len(of_sample):
        alone = [cells[place] for place in np.setdiff1d(np.arange(len(cells)), places)]
        such_as = "".join(f" (such as {cell})" for cell in (alone or cells)[:1])
        raise InputError(
            f"{table_path}: {n_found or 'none'} of the {len(of_sample)} barcodes of {sample} (not "
            f"{of_sample.index[places < 0][0]}) found among the {len(cells)} of {counts_path}{such_as}, but "
            f"labels.least_share is {least_share:g}; is it the table of these samples?"
        )
    note = (
        f"{sample}: {len(cells)} cells counted, {n_found} of them labelled; {(places < 0).sum()} labels without a cell"
    )
    return places[places >= 0], of_sample.loc[places >= 0], note


def of_suffix(whole: Counts, suffix: str | None, path: Path) -> Counts:
    """Return the cells whose barcode ends in ``-<suffix>``, as Cell Ranger numbers samples; all where there is none."""
    if suffix is None:
        return whole
    rows = [row for row, barcode in enumerate(whole.barcodes) if barcode.endswith(f"-{suffix}")]
    if not rows:
        endings = sorted({barcode.rpartition("-")[2] for barcode in whole.barcodes})[:20]
        raise InputError(f"{path}: no barcode ends in -{suffix}; the endings are {', '.join(endings)}")
    return Counts(whole.x[rows], [whole.barcodes[row] for row in rows], whole.genes)


def read_labels(path: Path, choices: LabelTable) -> pd.DataFrame:
    """Read the table of labels, indexed by sample and barcode letters.

    Raises
    ------
    InputError
        If it is no such table, or two rows are of one cell.
    """
    path.stat()
    try:
        with unpacked.opened(path) as stream:
            table = pd.read_csv(stream, index_col=0, dtype=str, keep_default_na=False)
    except (*DAMAGE, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable table ({first_line(error)}); fetch it again") from None
    if choices.sample not in table.columns:
        known = ", ".join(map(str, table.columns)) or "one column only, no comma was found"
        raise InputError(f"{path}: no column {choices.sample!r}; it has {known}")
    samples = table[choices.sample].replace(choices.names)
    letters = [letters_of(str(name)) for name in table.index]
    if None in letters:
        raise InputError(f"{path}: {table.index[letters.index(None)]!r} in its first column is no cell barcode")
    index = pd.MultiIndex.from_arrays([samples.to_numpy(), np.array(letters, dtype=object)])
    if not index.is_unique:
        sample, barcode = index[index.duplicated()][0]
        raise InputError(f"{path}: {index.duplicated().sum()} rows repeat a cell, such as {barcode} of {sample}")
    return table.set_axis(index).sort_index()


def barcode_letters(barcodes: list[str], where: str, sample: str) -> list[str]:
    """Return the letters of each barcode, which must be unique within a sample."""
    letters = [letters_of(barcode) for barcode in barcodes]
    if None in letters:
        raise InputError(f"{where}: {barcodes[letters.index(None)]!r} is no cell barcode")
    found = [text for text in letters if text is not None]
    if len(set(found)) < len(found):
        repeated = pd.Index(found)[pd.Index(found).duplicated()][0]
        raise InputError(f"{where}: barcode {repeated} is twice in sample {sample}, so labels fit two cells")
    return found


def letters_of(barcode: str) -> str | None:
    """Return the nucleotides of a barcode, `None` if there are none or several runs of them."""
    runs = BARCODE.findall(barcode)
    return runs[0] if len(runs) == 1 else None


def read_sample(path: Path) -> Counts:
    """Read a file or a folder of counts."""
    path.stat()
    try:
        return read_tenx(path) if path.is_dir() else read_dense(path)
    except FileNotFoundError:
        raise
    except (*DAMAGE, pd.errors.ParserError) as error:
        raise InputError(f"{path}: damaged, or no table of counts ({first_line(error)}); fetch it again") from None


def read_dense(path: Path) -> Counts:
    """Read a table of genes in rows and cells in columns, some rows at a time."""
    with unpacked.opened(path) as stream:
        header = stream.readline()
    separator = "\t" if b"\t" in header else ","
    if header and separator.encode() not in header:
        raise InputError(
            f"{path}: no tab or comma was found in its first line, which should name the cells; separate the columns "
            "by tabs (R's write.table does with sep = '\\t')"
        )
    parts, genes, barcodes = [], list[str](), list[str]()
    with unpacked.opened(path) as stream:
        # a gene may be called NA
        for chunk in pd.read_csv(stream, sep=separator, index_col=0, chunksize=ROWS, keep_default_na=False):
            barcodes = [str(name) for name in chunk.columns]
            parts.append(sp.csr_matrix(chunk.to_numpy(dtype=np.float32)))
            genes += [str(name) for name in chunk.index]
    if not genes or not barcodes:
        raise ValueError("it has no rows or no columns")
    return Counts(sp.vstack(parts).T.tocsr(), barcodes, unique_genes(pd.DataFrame(index=genes)))


def read_tenx(folder: Path) -> Counts:
    """Read the three files of 10x Genomics, of Cell Ranger 2 (``genes.tsv``) or later (``features.tsv.gz``)."""
    with unpacked.opened(one_of(folder, "matrix.mtx")) as stream:
        matrix = sp.csr_matrix(mmread(stream)).T.tocsr()
    barcodes = [line[0] for line in lines(one_of(folder, "barcodes.tsv"))]
    rows = list(lines(one_of(folder, "features.tsv", "genes.tsv")))
    if matrix.shape != (len(barcodes), len(rows)):
        raise ValueError(f"{len(rows)} genes and {len(barcodes)} barcodes for a matrix of {matrix.T.shape}")
    kept = [i for i, row in enumerate(rows) if len(row) < 3 or row[2] == "Gene Expression"]
    genes = pd.DataFrame({"gene_ids": [rows[i][0] for i in kept]}, index=[rows[i][1] for i in kept])
    return Counts(matrix[:, kept].astype(np.float32), barcodes, unique_genes(genes))


def unique_genes(genes: pd.DataFrame) -> pd.DataFrame:
    """Give symbols that occur again the endings -1, -2, ... as Seurat and scanpy do, so that samples can be joined."""
    times = genes.groupby(level=0).cumcount()
    genes.index = pd.Index(
        [name if not time else f"{name}-{time}" for name, time in zip(genes.index, times, strict=True)]
    )
    return genes


def one_of(folder: Path, *names: str) -> Path:
    """Return the first file of these names that is there, compressed or not."""
    for name in names:
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                return path
    raise InputError(f"{folder}: no {' or '.join(names)}, compressed or not")


def lines(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each line."""
    with io.TextIOWrapper(unpacked.opened(path), encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\r\n").split("\t")


def first_line(error: BaseException) -> str:
    """Say an error in one line."""
    return " ".join(str(error).split())[:200]

"""Counts that were deposited sample by sample, joined with a table of the authors' labels.

In a dataset's file::

    samples:                      # of each sample its file, or its folder with matrix.mtx.gz, barcodes and features
      Con4: samples/Con4.txt.gz
      PA1: {path: all, suffix: 1} # of a folder with all samples together: the cells whose barcode ends in -1
    labels:
      file: labels.csv            # the first column holds the barcodes, with whatever the authors put around them
      sample: orig.ident          # its column that tells samples apart
      names: {ATAA1: TAA1}        # the table's name of a sample: ours
      unlabelled: drop            # or keep
      least_share: 0.5            # of the table's rows of a sample that must find their cell; fewer are an error
    reference: [Con4]             # optional: samples that are a reference, and those that are the query
    query: [PA1]

Barcodes are compared by their letters A, C, G, T and N: programs change the ``-1`` behind them in many ways. Cells
without a label are left out, since the authors' quality control left them out, or with ``unlabelled: keep`` have
missing labels. Where there is no table, because the authors gave none, every cell is read, and its only annotation is
the ``sample``.

Samples with more than `stored.IN_MEMORY` values together are never in memory together: each is read again whenever its
cells are needed, which is four times until they are written.

Beside one file of cells, ``labels`` has no ``sample``, and the first column of its table holds the ids of that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.data import expression
from genept.data.cells import PART, QUERY, REFERENCE
from genept.datasets import stored
from genept.datasets.config import DatasetConfig, Labels
from genept.datasets.matrix import Matrix, in_memory, stack
from genept.datasets.raw import RawDataset, check_values, to_schema
from genept.datasets.tables import Counts, damage_explained, open_bounded, read_counts

SAMPLE = "sample"
BARCODE = re.compile(r"[ACGTN]{8,}")


def read(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read all samples and give their cells the labels of the table."""
    table_path = folder / config.labels.file if config.labels else folder
    table = read_labels(table_path, config.labels) if config.labels else None
    unknown = [name for name, column in config.obs.items() if column != SAMPLE]
    if table is None and unknown:
        raise InputError(
            f"{folder}: {unknown[0]} is column {config.obs[unknown[0]]!r} of a table of labels that is not there; "
            f"without it only the `{SAMPLE}` of a cell is known; derive {unknown[0]} from that, or leave it out"
        )
    matrices, genes, labels, notes = list[sp.csr_matrix](), list[pd.DataFrame](), [], []
    places, dtypes, n_values = list[tuple[Path, np.ndarray]](), set[np.dtype](), 0
    of_folder: dict[Path, Counts] = {}  # the last that was read: it may hold the next sample, too
    for sample, files in config.samples.items():
        path = folder / files.path
        if path not in of_folder:
            of_folder.clear()  # before the next is read
            of_folder[path] = read_counts(path)
        counts = of_folder[path]
        in_file = rows_of_suffix(counts.barcodes, files.suffix, path)
        cells = pd.Index(barcode_letters([counts.barcodes[row] for row in in_file], path))
        if not cells.is_unique:
            repeated = cells[cells.duplicated()][0]
            raise InputError(f"{path}: barcode {repeated} is twice in sample {sample}, so labels fit two cells")
        rows, own, note = np.arange(len(cells)), pd.DataFrame(index=cells), f"{sample}: {len(cells)} cells counted"
        if config.labels and table is not None:
            rows, own, note = match_labels(table, sample, cells, config.labels, table_path, path)
        places.append((path, in_file[rows]))
        dtypes.add(counts.x.dtype)
        n_values += int(np.diff(counts.x.indptr)[in_file[rows]].sum())
        if n_values <= stored.IN_MEMORY:
            matrices.append(counts.x[in_file[rows]])
        else:
            matrices.clear()
        genes.append(genes[-1] if genes and genes[-1].equals(counts.genes) else counts.genes)  # once in memory
        labels.append(own.set_axis([f"{sample}_{cell}" for cell in own.index]).assign(**{SAMPLE: sample}))
        notes.append(note)
    del counts
    of_folder.clear()  # it may be most of the memory
    var = genes[0]
    for others in genes[1:]:
        var = var[var.index.isin(others.index)]
    if not len(var):
        raise InputError(f"{folder}: the samples have no gene in common")
    columns = [own.index.get_indexer(var.index) for own in genes]
    if n_values <= stored.IN_MEMORY:
        aligned = [matrix[:, own] for matrix, own in zip(matrices, columns, strict=True)]
        x = in_memory(sp.vstack(aligned, format="csr"))
    else:
        dtype, of_file = np.result_type(*dtypes), groupby(zip(places, columns, strict=True), lambda one: one[0][0])
        x = stack([reread(path, list(group), dtype) for path, group in of_file])
    joined = pd.concat(labels)
    content = check_values(x, config.x, folder)
    obs = to_schema(joined, config.obs, table_path)
    if config.reference:
        obs[PART] = np.where(joined[SAMPLE].isin(config.reference), REFERENCE, QUERY)
    return RawDataset(folder, x, obs, var, content, notes)


def reread(path: Path, group: Sequence[tuple[tuple[Path, np.ndarray], np.ndarray]], dtype: np.dtype) -> Matrix:
    """Return the cells of samples that one file holds, which is read once whenever some of them are needed.

    Of each sample in `group` there are its path and rows in the file, and its columns.
    """
    order, columns = np.concatenate([rows for (_, rows), _ in group]), group[0][1]

    def blocks(some: np.ndarray | None) -> Iterator[sp.csr_matrix]:
        rows, x = order if some is None else order[some], read_counts(path).x
        for part in expression.parts(len(rows)):
            block = x[rows[part]][:, columns].astype(dtype, copy=False)
            block.sum_duplicates()
            block.eliminate_zeros()
            yield block

    return Matrix(blocks, (len(order), len(columns)), dtype)


def match_labels(
    table: pd.DataFrame, sample: str, cells: pd.Index, config: Labels, table_path: Path, counts_path: Path
) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Return a sample's labelled cells: rows in the counts, labels by barcode, and a sentence with the numbers."""
    known = table.index.get_level_values(0)
    if sample not in known:
        raise InputError(f"{table_path}: no cell of sample {sample!r}; it has {', '.join(known.unique()[:20])}")
    labels = cast(pd.DataFrame, table.loc[sample])
    rows = cells.get_indexer(labels.index)
    is_matched = rows >= 0
    n_matched, n_unmatched = int(is_matched.sum()), int((~is_matched).sum())
    if n_matched == 0 or n_matched < config.least_share * len(labels):
        alone = cells[~cells.isin(labels.index)]
        such_as = f" (such as {alone[0]})" if len(alone) else ""
        raise InputError(
            f"{table_path}: {n_matched or 'none'} of the {len(labels)} barcodes of {sample} (not "
            f"{labels.index[~is_matched][0]}) found among the {len(cells)} of {counts_path}{such_as}, but "
            f"labels.least_share is {config.least_share:g}; is it the table of these samples?"
        )
    note = f"{sample}: {len(cells)} cells counted, {n_matched} of them labelled; {n_unmatched} labels without a cell"
    if config.unlabelled == "keep":
        return np.arange(len(cells)), labels.reindex(cells), note
    return rows[is_matched], labels[is_matched], note


def rows_of_suffix(barcodes: Sequence[str], suffix: int | str | None, path: Path) -> np.ndarray:
    """Return the cells whose barcode ends in ``-<suffix>``, as Cell Ranger numbers samples; all where there is none."""
    if suffix is None:
        return np.arange(len(barcodes))
    rows = [row for row, barcode in enumerate(barcodes) if barcode.endswith(f"-{suffix}")]
    if not rows:
        endings = sorted({barcode.rpartition("-")[2] for barcode in barcodes})[:20]
        raise InputError(f"{path}: no barcode ends in -{suffix}; the endings are {', '.join(endings)}")
    return np.array(rows)


def join_labels(obs: pd.DataFrame, path: Path, config: Labels) -> tuple[pd.DataFrame, np.ndarray, str]:
    """Give the cells of one file the columns of the table of labels beside it, by their ids as they stand in both.

    Returns ``obs`` of the cells that are read, their rows in the file, and a sentence with the numbers.
    """
    table_path = path.parent / config.file
    table = read_labels(table_path, config, path.name)
    rows, labels, note = match_labels(table, path.name, obs.index.astype(str), config, table_path, path)
    order = np.argsort(rows)  # that of the file, not of the table
    rows, labels = rows[order], labels.iloc[order]
    obs = obs.iloc[rows].drop(columns=labels.columns, errors="ignore")
    return obs.join(labels.set_axis(obs.index)), rows, note


def read_labels(path: Path, config: Labels, sample: str | None = None) -> pd.DataFrame:
    """Read the table of labels, indexed by sample and barcode letters; of one `sample` by its ids as they stand."""
    with damage_explained(path, "a readable table"), open_bounded(path) as stream:
        table = pd.read_csv(stream, dtype=str, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas would put each title above the column beside its own
        raise InputError(f"{path}: its rows have more fields than its header; give every column a title")
    if len(table.columns) < 2:
        raise InputError(f"{path}: one column only, no comma was found")
    table = table.set_index(table.columns[0])
    if sample is not None:
        index = pd.MultiIndex.from_product([[sample], table.index])
    else:
        if config.sample not in table.columns:
            raise InputError(f"{path}: no column {config.sample!r}; it has {', '.join(map(str, table.columns))}")
        letters = barcode_letters([str(name) for name in table.index], path)
        index = pd.MultiIndex.from_arrays([table[config.sample].replace(config.names), letters])
    if not index.is_unique:
        name, barcode = index[index.duplicated()][0]
        raise InputError(f"{path}: {index.duplicated().sum()} rows repeat a cell, such as {barcode} of {name}")
    return table.set_axis(index).sort_index()


def barcode_letters(names: Sequence[str], path: Path) -> list[str]:
    """Return the nucleotides of each cell's name, which must have one run of them."""
    letters = []
    for name in names:
        runs = BARCODE.findall(name)
        if len(runs) != 1:
            raise InputError(f"{path}: {name!r} is no cell barcode")
        letters.append(runs[0])
    return letters

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
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.data.cells import PART, QUERY, REFERENCE
from genept.datasets.config import DatasetConfig, Labels
from genept.datasets.obs import to_schema
from genept.datasets.raw import RawDataset, check_values, to_csr
from genept.datasets.tables import DAMAGE, Counts, first_line, open_bounded, read_counts

SAMPLE = "sample"
BARCODE = re.compile(r"[ACGTN]{8,}")


def read(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read all samples and give their cells the labels of the table.

    Raises
    ------
    InputError
        If a file is missing, damaged or no such table, a barcode is there twice in a sample, or no cell has a label.
    """
    path, table = folder, cast(pd.DataFrame | None, None)
    if config.labels:
        path = folder / config.labels.file
        table = read_labels(path, config.labels)
    elif unknown := [name for name, column in config.obs.items() if column != SAMPLE]:
        raise InputError(
            f"{folder}: {unknown[0]} is column {config.obs[unknown[0]]!r} of a table of labels that is not there; "
            f"without it only the `{SAMPLE}` of a cell is known; derive {unknown[0]} from that, or leave it out"
        )
    matrices, tables, notes = [], [], []
    of_folder: dict[Path, Counts] = {}  # the last that was read: it may hold the next sample, too
    var: pd.DataFrame | None = None
    for sample, files in config.samples.items():
        source = folder / files.path
        if source not in of_folder:
            of_folder = {source: read_counts(source)}
        x, barcodes, genes = select_suffix(of_folder[source], files.suffix, source)
        cells = barcode_letters(barcodes, source, sample)
        rows, labels = np.arange(len(cells)), pd.DataFrame(index=pd.Index(cells))
        note = f"{sample}: {len(cells)} cells counted"
        if config.labels is not None and table is not None:
            rows, labels, note = match_labels(table, sample, cells, config.labels, path, source)
        matrices.append((x[rows], genes))
        tables.append(labels.set_axis([f"{sample}_{cell}" for cell in labels.index]).assign(**{SAMPLE: sample}))
        notes.append(note)
        var = genes if var is None else var[var.index.isin(genes.index)]
    of_folder.clear()  # it may be most of the memory
    assert var is not None
    if not len(var):
        raise InputError(f"{folder}: the samples have no gene in common")
    joined = to_csr(sp.vstack([x[:, genes.index.get_indexer(var.index)] for x, genes in matrices], format="csr"))
    content = check_values(joined, config.x, folder)
    table = pd.concat(tables)
    obs = to_schema(table, config.obs, path)
    if config.reference:
        obs[PART] = np.where(table[SAMPLE].isin(config.reference), REFERENCE, QUERY)
    return RawDataset(joined, obs, var, content, notes)


def match_labels(
    table: pd.DataFrame, sample: str, cells: list[str], config: Labels, table_path: Path, counts_path: Path
) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Find the labelled cells of a sample; with ``unlabelled: keep`` its other cells, too.

    Returns
    -------
    The cells' rows in the counts, their labels indexed by barcode, and a sentence with the numbers.
    """
    known = table.index.get_level_values(0)
    if sample not in known:
        raise InputError(f"{table_path}: no cell of sample {sample!r}; it has {', '.join(known.unique()[:20])}")
    labels = cast(pd.DataFrame, table.loc[sample])
    rows = pd.Index(cells).get_indexer(labels.index)
    n_matched, n_unmatched = int((rows >= 0).sum()), int((rows < 0).sum())
    if n_matched == 0 or n_matched < config.least_share * len(labels):
        alone = [cells[row] for row in np.setdiff1d(np.arange(len(cells)), rows)]
        such_as = "".join(f" (such as {cell})" for cell in (alone or cells)[:1])
        raise InputError(
            f"{table_path}: {n_matched or 'none'} of the {len(labels)} barcodes of {sample} (not "
            f"{labels.index[rows < 0][0]}) found among the {len(cells)} of {counts_path}{such_as}, but "
            f"labels.least_share is {config.least_share:g}; is it the table of these samples?"
        )
    note = f"{sample}: {len(cells)} cells counted, {n_matched} of them labelled; {n_unmatched} labels without a cell"
    if config.unlabelled == "keep":
        return np.arange(len(cells)), labels.reindex(cells), note
    return rows[rows >= 0], labels.loc[rows >= 0], note


def select_suffix(counts: Counts, suffix: int | str | None, path: Path) -> Counts:
    """Return the cells whose barcode ends in ``-<suffix>``, as Cell Ranger numbers samples; all where there is none."""
    if suffix is None:
        return counts
    rows = [row for row, barcode in enumerate(counts.barcodes) if barcode.endswith(f"-{suffix}")]
    if not rows:
        endings = sorted({barcode.rpartition("-")[2] for barcode in counts.barcodes})[:20]
        raise InputError(f"{path}: no barcode ends in -{suffix}; the endings are {', '.join(endings)}")
    return Counts(counts.x[rows], [counts.barcodes[row] for row in rows], counts.genes)


def read_labels(path: Path, config: Labels) -> pd.DataFrame:
    """Read the table of labels, indexed by sample and barcode letters."""
    path.stat()
    try:
        with open_bounded(path) as stream:
            table = pd.read_csv(stream, index_col=0, dtype=str, keep_default_na=False)
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable table ({first_line(error)}); fetch it again") from None
    if config.sample not in table.columns:
        known = ", ".join(map(str, table.columns)) or "one column only, no comma was found"
        raise InputError(f"{path}: no column {config.sample!r}; it has {known}")
    letters = [letters_of(str(name)) for name in table.index]
    if None in letters:
        raise InputError(f"{path}: {table.index[letters.index(None)]!r} in its first column is no cell barcode")
    samples = table[config.sample].replace(config.names)
    index = pd.MultiIndex.from_arrays([samples.to_numpy(), np.array(letters, dtype=object)])
    if not index.is_unique:
        sample, barcode = index[index.duplicated()][0]
        raise InputError(f"{path}: {index.duplicated().sum()} rows repeat a cell, such as {barcode} of {sample}")
    return table.set_axis(index).sort_index()


def barcode_letters(barcodes: list[str], path: Path, sample: str) -> list[str]:
    """Return the letters of each barcode, which must be unique within a sample."""
    letters = [letters_of(barcode) for barcode in barcodes]
    if None in letters:
        raise InputError(f"{path}: {barcodes[letters.index(None)]!r} is no cell barcode")
    index = pd.Index(letters)
    if not index.is_unique:
        repeated = index[index.duplicated()][0]
        raise InputError(f"{path}: barcode {repeated} is twice in sample {sample}, so labels fit two cells")
    return list(index)


def letters_of(barcode: str) -> str | None:
    """Return the nucleotides of a barcode, `None` if there are none or several runs of them."""
    runs = BARCODE.findall(barcode)
    return runs[0] if len(runs) == 1 else None

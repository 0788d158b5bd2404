"""The cells of a data set with their types left out, as a re-analysis reads them; and the types, to compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from genept.core.errors import InputError
from genept.data.genes import Table
from genept.datasets import derive, obs
from genept.datasets.entry import LABEL_SOURCES, Entry
from genept.datasets.label import harmonise, takes_reanalysis
from genept.datasets.label import read as read_whole

CELL_TYPE = "cell_type"
AUTHOR = LABEL_SOURCES[0]


def read(folder: Path, entry: Entry, table: Table, batch: str | None) -> tuple[AnnData, np.ndarray | None]:
    """Read a data set's file or files; the column of cell types is never read.

    Returns
    -------
    The cells, in the order of the file, genes under their approved symbols; and each cell's batch, `None` if there is
    one only. Cells without a batch form one of their own, ``Unknown``.

    Raises
    ------
    InputError
        If a file is damaged or contradicts its entry.
    """
    entry = entry.without_types()
    whole = read_whole(folder, entry)
    where = folder / next(iter(entry.files.values())) if len(entry.files) == 1 else folder
    labels, _ = derive.add(whole.labels, entry.derived, str(where))
    if batch is not None and batch not in labels:
        raise InputError(f"{where}: no {batch} to tell batches apart; correct reanalysis.batch in params.yaml")
    try:
        harmonised = harmonise(whole.x, whole.var, entry, table, where)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from None
    x = whole.x[:, harmonised.keep].astype(np.float32)
    cells = AnnData(x, obs=pd.DataFrame(index=labels.index), var=pd.DataFrame(index=harmonised.symbols))
    cells.uns["x"] = whole.content
    return cells, None if batch is None else obs.fill(labels[[batch]])[batch].to_numpy(dtype=str)


def author_labels(folder: Path, entry: Entry) -> pd.Series:
    """Return the authors' cell types as text, missing ones `None`, indexed by cell id in the order of the file.

    Raises
    ------
    InputError
        If the entry names no column of them, or the file is damaged.
    """
    if CELL_TYPE not in entry.obs or takes_reanalysis(folder, dataclasses.replace(entry, label_source=AUTHOR)):
        raise InputError(f"{folder}: no file has the authors' {CELL_TYPE}, so there is nothing to compare with")
    return read_whole(folder, dataclasses.replace(entry, derived={})).labels[CELL_TYPE]

"""The cells of a data set with their types left out, as a re-analysis reads them; and the types, to compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from stages.errors import InputError
from stages.label import derive, obs, parts, samples
from stages.label.cells import harmonise
from stages.label.derive import Binned, Mapped
from stages.label.entry import Entry
from stages.label.genes import Table
from stages.label.whole import Whole

CELL_TYPE = "cell_type"


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
    whole = read_whole(folder, without_types(entry))
    where = folder / next(iter(entry.files.values())) if len(entry.files) == 1 else folder
    labels, _ = derive.add(whole.labels, without_types(entry).derived, str(where))
    try:
        harmonised = harmonise(whole.x, whole.var, entry, table, where)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from None
    x = whole.x[:, harmonised.keep].astype(np.float32)
    cells = AnnData(x, obs=pd.DataFrame(index=labels.index), var=pd.DataFrame(index=harmonised.symbols))
    cells.uns["x"] = entry.x
    return cells, None if batch is None else obs.fill(labels[[batch]])[batch].to_numpy(dtype=str)


def author_labels(folder: Path, entry: Entry) -> pd.Series:
    """Return the authors' cell types as text, missing ones `None`, indexed by cell id in the order of the file.

    Raises
    ------
    InputError
        If the entry names no column of them, or the file is damaged.
    """
    if CELL_TYPE not in entry.obs:
        raise InputError(f"{folder}: the entry has no {CELL_TYPE} under obs, so there are no labels to compare with")
    return read_whole(folder, dataclasses.replace(entry, derived={})).labels[CELL_TYPE]


def read_whole(folder: Path, entry: Entry) -> Whole:
    """Read a data set from whatever files it has."""
    return samples.read(folder, entry) if entry.samples else parts.read(folder, entry)


def without_types(entry: Entry) -> Entry:
    """Return the entry without its cell types, and without what is derived from them."""
    derived = {name: how for name, how in entry.derived.items() if name != CELL_TYPE and CELL_TYPE not in read_by(how)}
    kept = {name: column for name, column in entry.obs.items() if name != CELL_TYPE}
    return dataclasses.replace(entry, obs=kept, derived=derived)


def read_by(how: Mapped | Binned) -> tuple[str | None, ...]:
    """Return the annotations that a derivation reads."""
    return (how.of, how.over) if isinstance(how, Binned) else (how.of,)

"""The cells of a data set with their types left out, as a re-analysis reads them; and the types, to compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from genept.core.errors import InputError
from genept.data.genes import Table
from genept.datasets.config import AUTHOR, DatasetConfig
from genept.datasets.derive import add_derived
from genept.datasets.inputs import read_raw, uses_annotation, where
from genept.datasets.obs import fill
from genept.datasets.raw import harmonise

CELL_TYPE = "cell_type"


def read(folder: Path, config: DatasetConfig, table: Table, batch: str | None) -> tuple[AnnData, np.ndarray | None]:
    """Read a dataset's file or files; the column of cell types is never read.

    Returns
    -------
    The cells, in the order of the file, genes under their approved symbols; and each cell's batch, `None` if there is
    one only. Cells without a batch form one of their own, ``Unknown``.

    Raises
    ------
    InputError
        If a file is damaged or contradicts the config.
    """
    config, path = config.without_cell_types(), where(folder, config)
    raw = read_raw(folder, config)
    obs, _ = add_derived(raw.obs, config.derive, path)
    if batch is not None and batch not in obs:
        raise InputError(f"{path}: no {batch} to tell batches apart; correct annotation.batch in the dataset's file")
    harmonised = harmonise(raw.x, raw.var, config, table, path)
    x = raw.x[:, harmonised.keep].astype(np.float32)
    cells = AnnData(x, obs=pd.DataFrame(index=obs.index), var=pd.DataFrame(index=harmonised.symbols))
    cells.uns["x"] = raw.content
    return cells, None if batch is None else fill(obs[[batch]])[batch].to_numpy(dtype=str)


def author_labels(folder: Path, config: DatasetConfig) -> pd.Series:
    """Return the authors' cell types as text, missing ones `None`, indexed by cell id in the order of the file.

    Raises
    ------
    InputError
        If the config names no column of them, or the file is damaged.
    """
    if CELL_TYPE not in config.obs or uses_annotation(folder, config.model_copy(update={"label_source": AUTHOR})):
        raise InputError(f"{folder}: no file has the authors' {CELL_TYPE}, so there is nothing to compare with")
    return read_raw(folder, config).obs[CELL_TYPE]

"""The cells of a dataset without the authors' types, as `method` reads them; and those types, to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from genept.core.errors import InputError
from genept.data.genes import Table
from genept.datasets import inputs
from genept.datasets.config import DatasetConfig
from genept.datasets.derive import add_derived
from genept.datasets.obs import UNKNOWN

CELL_TYPE = "cell_type"


def read(folder: Path, config: DatasetConfig, table: Table, batch: str | None) -> tuple[AnnData, np.ndarray | None]:
    """Read the fetched files of a dataset; the authors' cell types are never read.

    Returns
    -------
    The cells, in the order of the file, genes under their approved symbols; and each cell's batch (its annotation
    `batch`), shape (n_cells,) of text, `None` if there is one only. Cells without a batch form one, ``Unknown``.

    Raises
    ------
    InputError
        If a file is damaged or contradicts the config.
    """
    config = config.without_cell_types()
    raw = inputs.read_raw(folder, config)
    obs, _ = add_derived(raw.obs, config.derive, raw.path)
    if batch is not None and batch not in obs:
        raise InputError(f"{raw.path}: has no {batch} without the cell types; choose another annotation.batch")
    harmonised = raw.harmonise(config, table)
    x = raw.x[:, harmonised.keep].astype(np.float32)
    cells = AnnData(x, obs=pd.DataFrame(index=obs.index), var=pd.DataFrame(index=harmonised.symbols))
    cells.uns["x"] = raw.content
    return cells, None if batch is None else obs[batch].fillna(UNKNOWN).to_numpy(dtype=str)


def author_labels(folder: Path, config: DatasetConfig) -> pd.Series | None:
    """Return the authors' cell types as text, missing ones `None`, indexed by cell id; `None` if no file has any."""
    has_file = config.labels is None or (folder / config.labels.file).is_file()
    if CELL_TYPE not in config.obs or not has_file:
        return None
    return inputs.read_raw(folder, config.model_copy(update={"derive": {}})).obs[CELL_TYPE]

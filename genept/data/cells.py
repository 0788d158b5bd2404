"""The labelled cells of a dataset, as `stages.label` writes them and every later stage reads them.

``data/<dataset>/cells.h5ad`` holds the evaluated subset: ``X`` CSR (counts, or log-normalised values where declared),
``obs`` the common schema, ``var`` indexed by gene symbol with a column ``ensembl_id`` (empty where unknown).
``data/<dataset>/obs.csv`` repeats its ``obs``, so that scoring needs no expression matrix.
``data/corpus/<dataset>/cells.h5ad`` holds the cells outside the subset in the same form, for pretraining.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from genept.core import readers
from genept.core.params import Annotation

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

DATA = Path("data")
ANNOTATIONS: tuple[str, ...] = get_args(Annotation)

PART = "part"  # column of obs.csv where a dataset has a reference and a query file: which one a cell is from
UNKNOWN = "Unknown"  # the label of a cell without one, in obs.csv
REFERENCE, QUERY = "reference", "query"  # its values: scores are of the query; the reference may be learned from


def heading(annotation: str) -> str:
    """Return an annotation's name as it is printed: ``cell_type`` is "Cell type"."""
    return annotation.replace("_", " ").capitalize()


def read(dataset: str) -> AnnData:
    """Read the evaluated cells of a dataset.

    ``uns['x']`` tells what X holds, ``counts`` or ``lognorm``, ``uns['x_dtype']`` the type that its file has it in.
    """
    return _read(DATA / dataset / "cells.h5ad", dataset)


def read_corpus(dataset: str) -> AnnData:
    """Read the cells of a dataset outside its evaluated subset."""
    return _read(DATA / "corpus" / dataset / "cells.h5ad", dataset)


def _read(path: Path, dataset: str) -> AnnData:
    """Read an h5ad: `FileNotFoundError` if there is none, `InputError` if it is damaged or not as `label` writes it."""
    import numpy as np
    from anndata.io import read_elem

    from genept.core import hdf5

    with hdf5.opened(path, again=f"`dvc repro label@{dataset}` makes it") as file:
        hdf5.require_size(hdf5.arrays(file), path.stat().st_size, path, "it")
        if lacking := {"X", "obs", "var", "uns"} - set(file):
            raise ValueError(f"it has no {min(lacking)}")
        cells: AnnData = read_elem(file)
        if cells.uns["x"] not in ("counts", "lognorm") or getattr(cells.X, "format", "") != "csr":
            raise ValueError("X is not as label writes it")
        cells.X.check_format(full_check=True)  # with an index out of range the process would die later
        if cells.X.dtype.kind not in "fiu" or not np.isfinite(cells.X.data).all():
            raise ValueError("X has values that are no finite numbers")
        if (cells.X.data < 0).any():
            raise ValueError("X has negative values")
    return cells


def read_obs(dataset: str) -> pd.DataFrame:
    """Read the annotations of the evaluated cells: text columns named as in `ANNOTATIONS`, indexed by cell id.

    Where a dataset has a reference and a query file, the column `PART` tells which one each cell is from. `InputError`
    if the table is damaged.
    """
    import pandas as pd

    path, stage = DATA / dataset / "obs.csv", f"label@{dataset}"
    table = readers.read_table(path, {"cell_id": str}, stage, key="cell_id", may_be_empty=False)
    if others := set(table) - {"cell_id", PART, *ANNOTATIONS}:
        raise readers.damaged(path, stage, f"no annotation is called {min(others)!r}")
    return pd.DataFrame(table, dtype=object).set_index("cell_id")


def ids_digest(cell_ids: Iterable[str]) -> str:
    """Return a hash of cell ids in their order; the notes of an embedding hold it, to show which cells its rows are."""
    return hashlib.sha256(b"".join(str(cell_id).encode() + b"\0" for cell_id in cell_ids)).hexdigest()

"""A small published file, its entry, and changes to both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import yaml

RAW = Path("data/mine/raw/raw.h5ad")
SYMBOLS = ["TP53", "IL8", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH", "ACTB", "AC000001.1", "AMY1"]
N_CELLS = 60


def make_cells() -> anndata.AnnData:
    """60 cells of 6 donors, 3 cell types and 2 conditions; 12 genes; counts in X, their logarithms in a layer."""
    rng = np.random.default_rng(7)
    matrix = rng.poisson(1.5, size=(N_CELLS, len(SYMBOLS))).astype(np.float32)
    matrix[:, 0] += 1  # no empty cell
    donors = np.arange(N_CELLS) % 6
    table = pd.DataFrame(
        {
            "celltype": pd.Categorical(np.array(["B", "T", "NK"])[np.arange(N_CELLS) % 3]),
            "donor": donors,
            "condition": np.where(donors < 3, "sick", "well"),
        },
        index=[f"cell{number}" for number in range(N_CELLS)],
    )
    data = anndata.AnnData(sp.csr_matrix(matrix), obs=table, var=pd.DataFrame(index=SYMBOLS))
    data.layers["logged"] = sp.csr_matrix(np.log1p(matrix / matrix.sum(axis=1, keepdims=True) * 1e4))
    return data


def write_params(**changes: Any) -> None:
    content = {
        "title": "Mine",
        "note": "",
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad"}}},
        "obs": {"cell_type": "celltype", "patient": "donor", "phenotype": "condition"},
        **changes,
    }
    content = {key: value for key, value in content.items() if value is not None}
    params = {"threads": 1, "label": {"min_class_size": 10}, "datasets": {"mine": content}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def change(how: Callable[[anndata.AnnData], Any]) -> None:
    """Rewrite the raw file after changing the cells; `how` may return others."""
    data = anndata.read_h5ad(RAW)
    result = how(data)
    (result if isinstance(result, anndata.AnnData) else data).write_h5ad(RAW)


def set_value(value: float) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        dense = data.X.toarray().astype(np.float64)
        dense[3, 2] = value
        data.X = dense

    return apply


def set_x(matrix: Callable[[np.ndarray], np.ndarray]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.X = matrix(data.X.toarray())

    return apply


def rename(names: list[str]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.var_names = names

    return apply


def set_obs(column: str, values: Any) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.obs[column] = values

    return apply


def name_cells(first: list[str]) -> Callable[[anndata.AnnData], None]:
    def apply(data: anndata.AnnData) -> None:
        data.obs_names = [*first, *data.obs_names[len(first) :]]

    return apply

"""Two small corpora that share genes, and the settings of a tiny scGPT."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.engines.scgpt.config import Pretrain

PRETRAIN: dict[str, Any] = {
    "seed": 0,
    "steps": 6,
    "batch_size": 8,
    "max_length": 12,
    "asked_genes": 10,
    "learning_rate": 0.01,
    "mask_ratio": 0.4,
    "width": 8,
    "n_layers": 2,
    "n_heads": 2,
    "n_bins": 51,
}
CONFIG = Pretrain(**PRETRAIN)
GENES = {"one": [f"G{i}" for i in range(30)], "two": [f"G{i}" for i in range(20, 60)]}


def cells(dataset: str, n_cells: int = 40) -> anndata.AnnData:
    """Make cells of two kinds, which differ in the half of the genes that they express strongly."""
    genes = GENES[dataset]
    rng = np.random.default_rng(len(genes))
    strong = (np.arange(n_cells)[:, None] + np.arange(len(genes))) % 2 == 0
    x = sp.csr_matrix(rng.poisson(np.where(strong, 6.0, 0.5)).astype(np.float32))
    obs = pd.DataFrame(index=[f"{dataset}-{i}" for i in range(n_cells)])
    data = anndata.AnnData(x, obs, pd.DataFrame({"ensembl_id": [""] * len(genes)}, index=genes))
    data.uns["x"] = "counts"
    return data

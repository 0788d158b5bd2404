"""Small made-up cells."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp


def make_cells(n_cells: int, n_genes: int, x: str = "counts", seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.3, 2.0, size=(4, n_genes))[rng.integers(4, size=n_cells)]
    counts = rng.poisson(rates).astype(np.float32)
    if x == "lognorm":
        counts = np.log1p(counts / 3)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=var, uns={"x": x})

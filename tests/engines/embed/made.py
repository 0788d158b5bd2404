"""Small made-up cells, and some of genes of which all but ten have a vector."""

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


N_GENES, N_DIMENSIONS = 60, 300  # more dimensions than are multiplied at a time
GENES = [f"G{i}" for i in range(N_GENES)]


def make_cells_of_genes(n_cells: int = 25, x: str = "counts", seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 2.0, size=N_GENES), size=(n_cells, N_GENES)).astype(np.float32)
    counts[3] = 0
    counts[3, 50] = 4  # a cell that expresses a single gene, and that one has no vector
    if x == "lognorm":
        counts = np.log1p(counts)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES), uns={"x": x})

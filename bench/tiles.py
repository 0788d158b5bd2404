"""As many cells as wanted, made from a dataset's own: each is tiled and thinned, so that no two copies are the same.

Cell i is one of the dataset's cells, in an order drawn once, of which each count is drawn anew from
Binomial(count, `KEPT`). Cells come in blocks with a seed each, so the first n cells do not depend on how many follow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData

KEPT = 0.95  # share of the counts
SEED = 0
BLOCK = 1000  # cells: another number is another draw
CHUNK = 1 << 16  # values that the file compresses together
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "chunks": (CHUNK,), "indptr_dtype": np.int64}


def rows(n_source: int, start: int, stop: int) -> np.ndarray:
    """Return which of the `n_source` cells of the dataset the cells from `start` to `stop` are made from."""
    order = np.random.default_rng(SEED).permutation(n_source)
    return order[np.arange(start, stop) % n_source]


def thinned(counts: sp.csr_matrix, number: int) -> sp.csr_matrix:
    """Return block `number` of the cells, float32 without stored zeros; `counts` are those of the dataset."""
    block = counts[rows(counts.shape[0], number * BLOCK, (number + 1) * BLOCK)]
    drawn = np.random.default_rng([SEED, number]).binomial(block.data.astype(np.int64), KEPT)
    cells = sp.csr_matrix((drawn.astype(np.float32), block.indices, block.indptr), shape=block.shape)
    cells.eliminate_zeros()
    return cells


def write(source: AnnData, n_cells: int, path: Path) -> None:
    """Write `n_cells` cells as one h5ad, block by block; ids and annotations are those of their origin.

    Parameters
    ----------
    source
        The dataset as its file has it, with counts in ``X``. Copies of a cell get the ids ``<id>-0``, ``<id>-1``, ...
    """
    import anndata
    import h5py
    from anndata.io import sparse_dataset, write_elem

    counts = sp.csr_matrix(source.X)
    obs = source.obs.iloc[rows(source.n_obs, 0, n_cells)].copy()
    obs.index = [f"{name}-{number // source.n_obs}" for number, name in enumerate(obs.index)]
    anndata.AnnData(obs=obs, var=source.var[[]]).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        for number in range(-(-n_cells // BLOCK)):
            block = thinned(counts, number)[: n_cells - number * BLOCK]
            if number == 0:
                write_elem(file, "X", block, dataset_kwargs=COMPRESSION)
            else:
                sparse_dataset(file["X"]).append(block)

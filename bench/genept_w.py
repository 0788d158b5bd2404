"""GenePT-w: the weighted sums of gene vectors, against the products that the authors' notebook and scipy would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData

from bench import bounds
from bench.case import FLOAT32, Case
from genept.data.expression import log_normalise
from genept.engines.genept_w.weighted_sums import weighted_sums

DENSE = "dense float64 product (notebook)"
SPARSE = "sparse float64 product"
N_DIMENSIONS = 1536  # of ada-002, which the authors use
N_FEW = 4


def embedding(
    cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,), n_dimensions: int = N_DIMENSIONS
) -> Case:
    """Compare the products alone: every side is given the expression as it wants it. `folder` is not used."""
    expression = log_normalise(cells).tocsr()
    vectors = np.random.default_rng(0).standard_normal((cells.n_vars, n_dimensions), dtype=np.float32)
    exact = vectors.astype(np.float64)

    def inputs(n_cells: int) -> dict[str, object]:
        double = expression[:n_cells].astype(np.float64)
        return {FLOAT32: expression[:n_cells], DENSE: double.toarray(), SPARSE: double}

    return Case(
        cells=inputs(cells.n_obs),
        few=inputs(N_FEW),
        n_cells=cells.n_obs,
        ours={FLOAT32: lambda given: weighted_sums(given[FLOAT32], vectors)},
        upstream={DENSE: lambda given: given[DENSE] @ exact, SPARSE: lambda given: given[SPARSE] @ exact},
        bound=lambda rates: bounds.weighted_sums_seconds(
            cells.n_obs, cells.n_vars, n_dimensions, expression.nnz, rates
        ),
    )

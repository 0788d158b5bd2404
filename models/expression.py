"""Log-normalised expression, reduced by PCA: the baseline, and the example to copy for a model of your own.

To add a model: an entry under ``models:`` in params.yaml, its name in ``grid.models``, and a file like this one with a
function ``embed``. ``stages/embed/__init__.py`` says what it gets and what it returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from genept.data.expression import coverage, log_normalise
from genept.data.pca import principal_components


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the first ``n_components`` principal components of log-normalised expression, and notes."""
    scores = principal_components(log_normalise(cells), options.get("n_components", 50))
    notes = coverage(cells, known=np.ones(cells.n_vars, dtype=bool))
    return scores.astype(np.float32), {**notes, "comparable": True}

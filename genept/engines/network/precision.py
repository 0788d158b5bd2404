"""Half precision, with a measurement beside the embedding of how far it is from float32.

``bfloat16`` is several times as fast on GPUs and on processors with AMX or AVX-512 BF16 instructions; elsewhere it is
slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # by the setting `precision` of a model
N_COMPARED = 16


def compared(n_rows: int) -> np.ndarray:
    """Choose evenly spaced rows to compute in float32, too: at most `N_COMPARED`."""
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, N_COMPARED)).round().astype(np.int64))


def difference(vectors: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """Measure how far vectors are from those in float32, both of shape (n_rows, n_dimensions); zeros are left out.

    Returns
    -------
    dict
        ``n_compared``, ``cosine_min`` (to 6 decimals) and ``difference_max`` (of a coordinate, as a share of the
        largest coordinate).
    """
    some = np.flatnonzero(exact.any(axis=1))
    a, b = vectors[some].astype(np.float64), exact[some].astype(np.float64)
    if not len(some):
        return {"n_compared": 0}
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return {
        "n_compared": len(some),
        "cosine_min": round(float(cosines.min()), 6),
        "difference_max": float(f"{np.abs(a - b).max() / np.abs(b).max():.2g}"),
    }

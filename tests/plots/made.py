"""Cells in clear clusters, and the choices of their layout."""

from __future__ import annotations

from typing import Any

import numpy as np

OPTIONS: dict[str, Any] = {
    "n_components_pca": 50,
    "n_neighbors": 15,
    "min_dist": 0.5,
    "spread": 1.0,
    "n_epochs": 50,
    "seed": 0,
}
N_CELLS = 60


def clusters(n_cells: int = N_CELLS, n_clusters: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in clear clusters, and the cluster of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_cells) % n_clusters
    return (10 * rng.normal(size=(n_clusters, 20))[labels] + rng.normal(size=(n_cells, 20))).astype(np.float32), labels

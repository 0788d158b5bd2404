"""How well clusters agree with labels: scikit-learn's scores, from the table of counts.

Its functions check and sort labels of 1,300 cells for 7 ms; with 20 seeds that was a quarter of the time of k-means.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics.cluster import expected_mutual_information

TINY = np.finfo(np.float64).eps


def table(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Count cells by label and cluster, codes from 0 of shape (n_cells,): (n_labels, n_clusters), no empty line."""
    n_clusters = int(clusters.max()) + 1
    counts = np.bincount(labels * n_clusters + clusters, minlength=(int(labels.max()) + 1) * n_clusters)
    counts = counts.reshape(-1, n_clusters)
    return counts[counts.any(axis=1)][:, counts.any(axis=0)]


def ari(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Return the adjusted Rand index, as ``adjusted_rand_score`` (Hubert and Arabie 1985): 1 equal, 0 by chance."""
    counts = table(labels, clusters)
    together, of_labels, of_clusters, of_all = (
        float((n * (n - 1) / 2).sum()) for n in (counts, counts.sum(axis=1), counts.sum(axis=0), counts.sum())
    )
    expected, highest = of_labels * of_clusters / of_all if of_all else 0.0, (of_labels + of_clusters) / 2
    return (together - expected) / (highest - expected) if highest != expected else 1.0


def ami(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Return the adjusted mutual information, as ``adjusted_mutual_info_score`` (Vinh, Epps and Bailey 2010)."""
    counts = table(labels, clusters)
    if counts.shape == (1, 1):
        return 1.0
    if 1 in counts.shape:
        return 0.0
    n = counts.sum()
    of_labels, of_clusters = counts.sum(axis=1) / n, counts.sum(axis=0) / n
    shares, by_chance = counts[counts > 0] / n, np.outer(of_labels, of_clusters)[counts > 0]
    expected = float(expected_mutual_information(counts, int(n)))
    mean_entropy = -float((of_labels * np.log(of_labels)).sum() + (of_clusters * np.log(of_clusters)).sum()) / 2
    above, highest = float((shares * np.log(shares / by_chance)).sum()) - expected, mean_entropy - expected
    return away_from_zero(above) / away_from_zero(highest)


def away_from_zero(value: float) -> float:
    """Keep a difference at least as large as rounding, so that 0 / 0, of two equal clusterings, is 1."""
    return min(value, -TINY) if value < 0 else max(value, TINY)

"""Cell types of clusters by their marker genes.

Of every marker gene the mean log-normalised expression of each cluster is taken, and standardised over the clusters:
z = (mean of the cluster - mean over clusters) / standard deviation over clusters. A cluster's score for a type is the
mean z of the type's genes that the data has. The type with the largest score is the cluster's if that is above 0 and
exceeds the next type's by `min_margin`; else the cluster is ``Unknown``.

What was weighed:

- Over clusters, each counted once, not over cells: else the z of a type's genes would depend on how many cells the type
  has, and the largest type of a data set would score least.
- The standard deviation is taken to be at least `LEAST_SD`: a gene that hardly differs between clusters would otherwise
  have its noise raised to the same size as a good marker's difference.
- z is kept within -`LIMIT` and `LIMIT`: among many clusters, a gene that only one expresses reaches z of 4 and more
  there, and would decide alone over a type of several genes.
- A type of few genes has the less certain mean. It is not made smaller for that, since authors name one gene where one
  is enough; the limit bounds what one gene can do, the margin leaves close calls open, and the number of genes behind
  each type is in the summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from genept.annotation.marker_table import UNKNOWN

LEAST_SD = 0.1  # of mean log1p(counts per 10,000)
LIMIT = 2.0


class Call(NamedTuple):
    """A cluster's type, or ``Unknown``, and the scores of the `best` type and of the next, which may be none."""

    cell_type: str
    best: str
    score: float
    runner_up: str
    runner_up_score: float | None
    margin: float


def by_cluster(x: csr_matrix, clusters: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each gene in each cluster and the share of its cells that have it.

    Parameters
    ----------
    x
        Log-normalised expression, shape (n_cells, n_genes).
    clusters
        Each cell's cluster, shape (n_cells,), from 0.

    Returns
    -------
    Two arrays of shape (n_clusters, n_genes), float64.
    """
    members = csr_matrix(
        (np.ones(len(clusters)), (clusters, np.arange(len(clusters)))), shape=(n_clusters, len(clusters))
    )
    sizes = np.bincount(clusters, minlength=n_clusters)[:, np.newaxis]
    return (members @ x.astype(np.float64)).toarray() / sizes, (members @ (x != 0).astype(np.float64)).toarray() / sizes


def standardise(means: np.ndarray) -> np.ndarray:
    """Return z over clusters (rows) of each gene, shape as `means`: with limits, see the top of this file."""
    centred = means - means.mean(axis=0)
    return np.clip(centred / np.maximum(means.std(axis=0), LEAST_SD), -LIMIT, LIMIT)


def scores(z: np.ndarray, symbols: Sequence[str], types: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return of each type that has a gene among `symbols` (the columns of `z`) the score of every cluster."""
    places = {symbol: place for place, symbol in enumerate(symbols)}
    found = {name: [places[gene] for gene in genes if gene in places] for name, genes in types.items()}
    return {name: z[:, columns].mean(axis=1) for name, columns in found.items() if columns}


def call(scores: dict[str, float], min_margin: float) -> Call:
    """Choose the type of one cluster; of equal scores the earlier type is first.

    Where only one type can be scored, it must exceed 0, the score of an average cluster, by the margin.
    """
    ranked = sorted(scores, key=lambda name: -scores[name])  # stable
    best = ranked[0]
    second = ranked[1] if len(ranked) > 1 else ""
    second_score = scores[second] if second else None
    margin = scores[best] - (second_score or 0.0)
    cell_type = best if scores[best] > 0 and margin >= min_margin else UNKNOWN
    return Call(cell_type, best, scores[best], second, second_score, margin)

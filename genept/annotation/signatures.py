"""Cell types of clusters by their marker genes.

The mean log-normalised expression of a marker gene in each cluster is standardised over the clusters:
z = (mean of the cluster - mean over clusters) / standard deviation over clusters. A cluster's score for a type is the
mean z of the type's genes that the data has. The cluster gets the type with the largest score if that is above 0 and
exceeds the next type's by `min_margin`; else it is ``Unknown``.

Reasons for the details:

- Each cluster counts once. Standardised over cells, the z of a type's genes would depend on how many cells the type
  has, and the largest type of a dataset would score least.
- The standard deviation is at least `MIN_SD`. Else the noise of a gene that hardly differs between clusters would
  weigh as much as a good marker's difference.
- z is limited to -`LIMIT` and `LIMIT`. Among many clusters, a gene that only one expresses reaches a z of 4 and more,
  and would alone outvote a type of several genes.
- A type of few genes has a less certain mean. Its score is not lowered for that, since authors name one gene where one
  is enough; the limit bounds what one gene can do, the margin leaves close calls open, and the summary gives the number
  of genes of each type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from genept.annotation.markers import UNKNOWN

MIN_SD = 0.1  # of mean log1p(counts per 10,000)
LIMIT = 2.0


class Call(NamedTuple):
    """A cluster's type, or ``Unknown``; the `best` type, the `runner_up` if there is one, and their scores."""

    cell_type: str
    best: str
    score: float
    runner_up: str
    runner_up_score: float | None
    margin: float


def by_cluster(x: csr_matrix, clusters: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each gene in each cluster and the share of the cluster's cells that express it.

    From log-normalised expression, shape (n_cells, n_genes), and each cell's cluster from 0; two arrays of shape
    (n_clusters, n_genes), float64.
    """
    n_cells = len(clusters)
    members = csr_matrix((np.ones(n_cells), (clusters, np.arange(n_cells))), shape=(n_clusters, n_cells))
    sizes = np.bincount(clusters, minlength=n_clusters)[:, np.newaxis]
    return (members @ x.astype(np.float64)).toarray() / sizes, (members @ (x != 0).astype(np.float64)).toarray() / sizes


def standardise(means: np.ndarray) -> np.ndarray:
    """Return the limited z of each gene (columns) over clusters (rows), shape as `means`."""
    centred = means - means.mean(axis=0)
    return np.clip(centred / np.maximum(means.std(axis=0), MIN_SD), -LIMIT, LIMIT)


def scores(z: np.ndarray, symbols: Sequence[str], types: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return the score of every cluster for each type that has a gene among `symbols`, the columns of `z`."""
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    by_type = {name: [columns[gene] for gene in genes if gene in columns] for name, genes in types.items()}
    return {name: z[:, chosen].mean(axis=1) for name, chosen in by_type.items() if chosen}


def call(scores: dict[str, float], min_margin: float) -> Call:
    """Choose the type of one cluster; of equal scores the earlier type is first.

    If only one type can be scored, it must exceed 0, the score of an average cluster, by the margin.
    """
    best, *others = sorted(scores, key=lambda name: -scores[name])  # stable
    runner_up = others[0] if others else ""
    margin = scores[best] - scores.get(runner_up, 0.0)
    cell_type = best if scores[best] > 0 and margin >= min_margin else UNKNOWN
    return Call(cell_type, best, scores[best], runner_up, scores.get(runner_up), margin)

"""Gene vectors that mean nothing: what GenePT-w owes to the text is what it gains over these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def random(vectors: np.ndarray, symbols: Sequence[str], seed: int) -> np.ndarray:
    """Return normal random directions with the norms of `vectors`, shape (n_genes, n_dimensions).

    Drawn in the order of the symbols, so that the order of the rows does not matter.
    """
    directions = np.empty(vectors.shape)
    directions[np.argsort(symbols)] = np.random.default_rng(seed).standard_normal(vectors.shape)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * norms


def shuffled(symbols: Sequence[str], seed: int) -> np.ndarray:
    """Return for every gene the row of the gene whose vector it gets: a random permutation, shape (n_genes,).

    The set of vectors stays, so only which gene has which is lost. A gene may get its own: about one does. The
    permutation is drawn over the sorted symbols, so that the order of the rows does not matter.
    """
    order = np.argsort(symbols)
    rows = np.empty_like(order)
    rows[order] = np.random.default_rng(seed).permutation(order)
    return rows

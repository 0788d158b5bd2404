"""The cells a model is trained on, and which of them it sees at which step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData


def gene_symbols(corpora: list[AnnData]) -> list[str]:
    """Return the genes that are in any corpus, sorted."""
    return sorted(set().union(*(corpus.var_names for corpus in corpora)))


def stack(corpora: list[AnnData], columns: list[np.ndarray], n_columns: int) -> sp.csr_matrix:
    """Put corpora with different genes one below the other.

    Parameters
    ----------
    columns
        For each corpus where its genes go, shape (n_genes,).
    n_columns
        Columns of the result; those of genes that a corpus lacks hold zeros for its cells.
    """
    parts = []
    for corpus, places in zip(corpora, columns, strict=True):
        x = sp.csr_matrix(corpus.X)
        parts.append(sp.csr_matrix((x.data, places[x.indices], x.indptr), shape=(corpus.n_obs, n_columns)))
    return sp.vstack(parts, format="csr")


def draws(n_cells: int, n_per_step: int, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a corpus's cells for every step; a cell comes again only when all others have had their turn.

    Returns
    -------
    Row numbers, shape (n_steps, n_per_step).
    """
    n_rounds = -(-n_steps * n_per_step // n_cells)
    order = np.concatenate([rng.permutation(n_cells) for _ in range(n_rounds)])
    return order[: n_steps * n_per_step].reshape(n_steps, n_per_step)

"""Which cells a model is trained on at which step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData


def gene_symbols(corpora: list[AnnData]) -> list[str]:
    """Return the genes that are in any corpus, sorted."""
    return sorted(set().union(*(corpus.var_names for corpus in corpora)))


def draws(n_cells: int, n_per_step: int, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a corpus's cells for every step; a cell comes again only when all others have had their turn.

    Returns
    -------
    Row numbers, shape (n_steps, n_per_step).
    """
    n_rounds = -(-n_steps * n_per_step // n_cells)
    order = np.concatenate([rng.permutation(n_cells) for _ in range(n_rounds)])
    return order[: n_steps * n_per_step].reshape(n_steps, n_per_step)

"""Controls: GenePT-w with gene vectors that mean nothing. What the text adds is the difference from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from genept.data import gene_vectors
from genept.engines.genept_w.config import Model
from genept.engines.genept_w.embed import weight_by_expression


def embed(cells: AnnData, folder: Path, config: Model, device: str, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as `genept.engines.genept_w.embed`, by control vectors made from those of the model in `folder`."""
    vectors, genes = gene_vectors.read(folder)
    symbols = [gene.symbol for gene in genes]
    drawn = random(vectors, symbols, seed) if config.control == "random" else vectors[shuffle(symbols, seed)]
    matrix, notes = weight_by_expression(cells, drawn.astype(np.float32), symbols, config.embed)
    return matrix, {"control": config.control, "control_of": folder.name, "seed": seed, **notes}


def random(vectors: np.ndarray, symbols: Sequence[str], seed: int) -> np.ndarray:
    """Return normal random directions with the norms of `vectors`, shape (n_genes, n_dimensions), float64.

    They are drawn in the order of the symbols, so the order of the rows does not matter.
    """
    directions = np.empty(vectors.shape)
    directions[np.argsort(symbols)] = np.random.default_rng(seed).standard_normal(vectors.shape)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * norms


def shuffle(symbols: Sequence[str], seed: int) -> np.ndarray:
    """Return, for every gene, the row of the gene whose vector it gets: a random permutation, shape (n_genes,).

    The permutation is drawn over the sorted symbols, so the order of the rows does not matter. About one gene gets its
    own vector.
    """
    order = np.argsort(symbols)
    rows = np.empty_like(order)
    rows[order] = np.random.default_rng(seed).permutation(order)
    return rows

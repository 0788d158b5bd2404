"""GenePT-w: a cell is the sum of its genes' text vectors, each weighted by the gene's expression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from genept.data import gene_vectors
from genept.data.expression import coverage, log_normalise
from genept.engines.genept_w.config import Embed, Model
from genept.engines.genept_w.weighted_sums import weighted_sums


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells by the gene vectors in `folder`, see `genept.data.gene_vectors`."""
    vectors, genes = gene_vectors.read(folder)
    return weight_by_expression(cells, vectors, [gene.symbol for gene in genes], config.embed)


def weight_by_expression(
    cells: AnnData, vectors: np.ndarray, symbols: Sequence[str], config: Embed
) -> tuple[np.ndarray, dict[str, Any]]:
    """Multiply log-normalised expression with gene vectors (Chen & Zou, Section 2 and the authors' notebook).

    Expression is log(1 + counts / total of the cell * 10,000). A gene without vector counts as a zero vector. The sum
    is divided as ``divide_by`` says: ``n_genes``, by the number of the dataset's genes, with or without vector (the
    notebook), or ``weights``, by the sum of the cell's expression over the genes with a vector (a weighted mean).
    With ``unit_norm`` every cell is then scaled to unit length (the paper; the notebook does not), after which the
    divisor has no effect. A cell that expresses no gene with a vector is all zeros, and counted in the notes.

    Parameters
    ----------
    vectors
        Float32, shape (n_genes, n_dimensions).
    symbols
        The genes of the rows.

    Raises
    ------
    InputError
        If no gene of the dataset has a vector.
    """
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    rows = np.array([row_of.get(symbol, -1) for symbol in cells.var_names])
    known = rows >= 0
    notes = coverage(cells, known)
    expression = log_normalise(cells)[:, known]
    embedding = weighted_sums(expression, vectors[rows[known]])
    divisors = np.full(cells.n_obs, cells.n_vars) if config.divide_by == "n_genes" else expression.sum(axis=1)
    embedding = divide(embedding, np.asarray(divisors, dtype=np.float32).ravel())
    if config.unit_norm:
        embedding = divide(embedding, np.linalg.norm(embedding, axis=1))
    return embedding, {**notes, "comparable": True}


def divide(rows: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Divide every row by its divisor; a row whose divisor is zero becomes zero."""
    divisors = divisors[:, np.newaxis]
    return np.divide(rows, divisors, out=np.zeros_like(rows), where=divisors != 0)

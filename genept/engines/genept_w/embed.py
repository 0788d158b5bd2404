"""GenePT-w: a cell is the sum of its genes' text vectors, each weighted by the gene's expression.

Controls are the same with gene vectors that mean nothing; what the text adds is the difference from them.
"""

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
    """Embed cells by the gene vectors in `folder`, see `genept.data.gene_vectors`.

    Of released vectors the notes have ``n_genes_missing_exact``, too: genes of the dataset whose name in its file is
    not exactly a name in the vectors' file, as the authors' notebook counts. The embedding uses harmonised names. Genes
    that `stages.label` dropped as repeated are not counted, and white space at either end of a name does not matter.
    """
    vectors, genes = gene_vectors.read(folder)
    matrix, notes = weight_by_expression(cells, vectors, [gene.symbol for gene in genes], config.embed)
    if config.vectors and config.vectors.released and "original_symbol" in cells.var:
        in_file = {gene.text for gene in genes}
        notes["n_genes_missing_exact"] = sum(name not in in_file for name in cells.var["original_symbol"].astype(str))
    return matrix, notes


def weight_by_expression(
    cells: AnnData, vectors: np.ndarray, symbols: Sequence[str], config: Embed
) -> tuple[np.ndarray, dict[str, Any]]:
    """Multiply log-normalised expression with gene vectors (Chen & Zou, Section 2 and the authors' notebook).

    Expression is log(1 + counts / total of the cell * 10,000). A gene without vector counts as a zero vector. The sum
    is divided as ``divide_by`` says: ``n_genes``, by the number of the dataset's genes, with or without vector (the
    notebook), or ``weights``, by the sum of the cell's expression over the genes with a vector (a weighted mean).
    With ``unit_norm`` every cell is then scaled to unit length (the paper; the notebook does not), after which the
    divisor has no effect. A cell that expresses no gene with a vector is all zeros, and counted in the notes.

    `vectors` are float32, shape (n_genes, n_dimensions), `symbols` the genes of the rows. `InputError` if no gene of
    the dataset has a vector.
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


def embed_control(
    cells: AnnData, folder: Path, config: Model, device: str, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as `embed`, by control vectors made from those of the model in `folder`."""
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

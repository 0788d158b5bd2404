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
from genept.data.expression import coverage, log_normalised_parts
from genept.engines.genept_w.config import Embed, Model
from genept.engines.genept_w.weighted_sums import weighted_sums


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells by the gene vectors in `folder`, see `genept.data.gene_vectors`.

    Of released vectors the notes have ``n_genes_missing_exact``, too: genes of the dataset whose name in its file is
    not exactly a name in the vectors' file, as the authors' notebook counts. The embedding uses harmonised names. Genes
    that `stages.label` dropped as repeated are not counted, and white space at either end of a name does not matter.
    """
    vectors, genes = gene_vectors.read(folder)
    embeddings, notes = weigh(cells, [gene.symbol for gene in genes], [vectors], config.embed)
    if config.vectors and config.vectors.released and "original_symbol" in cells.var:
        in_file = {gene.text for gene in genes}
        notes["n_genes_missing_exact"] = sum(name not in in_file for name in cells.var["original_symbol"].astype(str))
    return embeddings[0], notes


def weigh(
    cells: AnnData, symbols: Sequence[str], tables: Sequence[np.ndarray], config: Embed
) -> tuple[np.ndarray, dict[str, Any]]:
    """Multiply log-normalised expression with gene vectors (Chen & Zou, Section 2, and their notebook).

    Each of `tables` holds vectors of the genes `symbols`, float32 of shape (n_genes, n_dimensions). Returns an
    embedding for each, float32 of shape (n_tables, n_cells, n_dimensions), and notes. Some cells after the other are
    normalised, once for all tables, so that no second matrix of all cells is held.

    Expression is log(1 + counts / total of the cell * 10,000). A gene without vector counts as a zero vector. The sum
    is divided as ``divide_by`` says: ``n_genes``, by the number of the dataset's genes, with or without vector (the
    notebook), or ``weights``, by the sum of the cell's expression over the genes with a vector (a weighted mean).
    With ``unit_norm`` every cell is then scaled to unit length (the paper; the notebook does not), after which the
    divisor has no effect. A cell that expresses no gene with a vector is all zeros, and counted in the notes.
    `InputError` if no gene of the dataset has a vector.
    """
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    rows = np.array([row_of.get(symbol, -1) for symbol in cells.var_names])
    known = rows >= 0
    notes = coverage(cells, known)
    used = [table[rows[known]] for table in tables]
    embeddings = np.empty((len(tables), cells.n_obs, tables[0].shape[1]), dtype=np.float32)
    for part, expression in log_normalised_parts(cells):
        expression = expression[:, known]
        divisors = np.full(expression.shape[0], cells.n_vars)
        if config.divide_by == "weights":
            divisors = np.asarray(expression.sum(axis=1)).ravel()
        for embedding, vectors in zip(embeddings[:, part], used, strict=True):
            embedding[:] = divide(weighted_sums(expression, vectors), divisors.astype(np.float32))
            if config.unit_norm:
                embedding[:] = divide(embedding, np.linalg.norm(embedding, axis=1))
    return embeddings, {**notes, "comparable": True}


def divide(rows: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Divide every row by its divisor; a row whose divisor is zero becomes zero."""
    divisors = divisors[:, np.newaxis]
    return np.divide(rows, divisors, out=np.zeros_like(rows), where=divisors != 0)


def embed_control(
    cells: AnnData, folder: Path, config: Model, device: str, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as `embed`, by control vectors made from those of the model in `folder`, drawn several times.

    Returns float32 of shape (n_draws, n_cells, n_dimensions). A draw depends on `seed` and its number only.
    """
    vectors, genes = gene_vectors.read(folder)
    symbols = [gene.symbol for gene in genes]
    generators = [np.random.default_rng(seed_of(seed, draw)) for draw in range(config.draws or 1)]
    if config.control == "random":
        tables = [random(vectors, symbols, generator).astype(np.float32) for generator in generators]
    else:
        tables = [vectors[shuffle(symbols, generator)] for generator in generators]
    embeddings, notes = weigh(cells, symbols, tables, config.embed)
    return embeddings, {"control": config.control, "control_of": folder.name, "seed": seed, **notes}


def seed_of(seed: int, draw: int) -> np.random.SeedSequence:
    """Return where a control's draw starts: the first from `seed` itself, as if there were no others."""
    return np.random.SeedSequence([seed, draw] if draw else seed)


def random(vectors: np.ndarray, symbols: Sequence[str], generator: np.random.Generator) -> np.ndarray:
    """Return normal random directions with the norms of `vectors`, shape (n_genes, n_dimensions), float64.

    They are drawn in the order of the symbols, so the order of the rows does not matter.
    """
    directions = np.empty(vectors.shape)
    directions[np.argsort(symbols)] = generator.standard_normal(vectors.shape)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * norms


def shuffle(symbols: Sequence[str], generator: np.random.Generator) -> np.ndarray:
    """Return, for every gene, the row of the gene whose vector it gets: a random permutation, shape (n_genes,).

    The permutation is drawn over the sorted symbols, so the order of the rows does not matter. About one gene gets its
    own vector.
    """
    order = np.argsort(symbols)
    rows = np.empty_like(order)
    rows[order] = generator.permutation(order)
    return rows

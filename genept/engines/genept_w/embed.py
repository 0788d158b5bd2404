"""GenePT-w: a cell is the sum of its genes' text vectors, each weighted by the gene's expression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from genept.core.errors import ParamsError
from genept.data import gene_vectors
from genept.data.expression import coverage, log_normalise
from genept.engines import check_keys
from genept.engines.genept_w.weighted_sums import weighted_sums

DIVISORS = ("n_genes", "weights")


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Multiply log-normalised expression with gene vectors (Chen & Zou, Section 2 and the authors' notebook).

    Expression is log(1 + counts / total of the cell * 10,000). A gene without vector counts as a zero vector. The sum
    is divided as ``divide_by`` says: ``n_genes``, by the number of the dataset's genes, with or without vector (the
    notebook), or ``weights``, by the sum of the cell's expression over the genes with a vector (a weighted mean).
    With ``unit_norm`` every cell is then scaled to unit length (the paper; the notebook does not), after which the
    divisor has no effect. A cell that expresses no gene with a vector is all zeros, and counted.

    Raises
    ------
    InputError
        If no gene of the dataset has a vector.
    ParamsError
        If ``divide_by`` is neither, or there is an option that is not known.
    """
    check_keys(options)
    divide_by = options.get("divide_by", "n_genes")
    if divide_by not in DIVISORS:
        raise ParamsError(f"params.yaml: divide_by must be {' or '.join(DIVISORS)}, got {divide_by!r}")
    vectors, genes = gene_vectors.read(folder)
    row_of = {gene.symbol: row for row, gene in enumerate(genes)}
    rows = np.array([row_of.get(symbol, -1) for symbol in cells.var_names])
    known = rows >= 0
    notes = coverage(cells, known)
    expression = log_normalise(cells)[:, known]
    embedding = weighted_sums(expression, vectors[rows[known]])
    divisors = np.full(cells.n_obs, cells.n_vars) if divide_by == "n_genes" else expression.sum(axis=1)
    embedding = divided(embedding, np.asarray(divisors, dtype=np.float32).ravel())
    if options.get("unit_norm", True):
        embedding = divided(embedding, np.linalg.norm(embedding, axis=1))
    return embedding, {**notes, "comparable": True}


def divided(rows: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Divide every row by its divisor; a row whose divisor is zero becomes zero."""
    divisors = divisors[:, np.newaxis]
    return np.divide(rows, divisors, out=np.zeros_like(rows), where=divisors != 0)

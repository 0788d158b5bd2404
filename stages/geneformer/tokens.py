"""Rank-value tokens: a cell as its genes, from the one most above its usual expression downwards.

Upstream: ``TranscriptomeTokenizer`` of the ``geneformer`` package; verified token by token against it, V1 and V2 rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from stages.geneformer.dictionaries import CLS, EOS, Dictionaries

TARGET_SUM = 10_000
CELLS_AT_ONCE = 4096  # bounds the memory of the float64 copy


@dataclass(frozen=True)
class GeneTokens:
    """Which columns of an expression matrix are which tokens."""

    projection: sparse.csr_matrix
    """Shape (n_columns, n_tokens), 0 or 1: sums the columns of one gene, drops those without a token."""
    tokens: np.ndarray
    """Tokens of the projected columns, ascending."""
    medians: np.ndarray
    """The genes' medians, in the same order."""

    @property
    def has_token(self) -> np.ndarray:
        """Whether each column of the expression matrix has a token."""
        return np.diff(self.projection.indptr) > 0


def match(names: Sequence[str], dictionaries: Dictionaries) -> GeneTokens:
    """Find the token of every column.

    Parameters
    ----------
    names
        Ensembl id of every column, empty where unknown; aliases of the V2 dictionaries are understood.

    Notes
    -----
    Columns of one gene are summed, as V2 does. The first V1 code ranked them as separate tokens of the same gene, its
    later editions sum too.
    """
    genes = [dictionaries.gene(name) if name and not name.startswith("<") else "" for name in names]
    columns = np.array([i for i, gene in enumerate(genes) if gene in dictionaries.tokens], dtype=np.int64)
    of_column = np.array([dictionaries.tokens[genes[i]] for i in columns], dtype=np.int64)
    tokens, position = np.unique(of_column, return_inverse=True)
    medians = dict(zip(of_column.tolist(), (dictionaries.medians[genes[i]] for i in columns), strict=True))
    return GeneTokens(
        projection=sparse.csr_matrix((np.ones(len(columns)), (columns, position)), shape=(len(names), len(tokens))),
        tokens=tokens,
        medians=np.array([medians[token] for token in tokens.tolist()]),
    )


def rank(
    counts: sparse.csr_matrix, genes: GeneTokens, dictionaries: Dictionaries, max_length: int
) -> tuple[list[np.ndarray], int]:
    """Turn cells into rank-value tokens.

    A gene's value is ``counts / n_counts * 10,000 / median`` in float64, where ``n_counts`` is the cell's total over
    all genes, also those without a token. Non-zero values are sorted descending; V2 dictionaries add <cls> in front
    and <eos> at the end, which count towards `max_length`.

    Parameters
    ----------
    counts
        Shape (n_cells, n_columns).
    max_length
        Longest sequence the network takes: 2,048 for the released V1, 4,096 for V2.

    Returns
    -------
    The token sequences, empty for a cell without any gene that has a token, and how many cells were truncated.

    Notes
    -----
    Ties go to the smaller token, so that the order of the columns never matters; upstream leaves them to an unstable
    sort.
    """
    framed = dictionaries.version == "V2"
    room = max_length - 2 if framed else max_length
    sequences: list[np.ndarray] = []
    n_truncated = 0
    for start in range(0, counts.shape[0], CELLS_AT_ONCE):
        values = per_ten_thousand(counts[start : start + CELLS_AT_ONCE], genes.projection)
        values.data /= genes.medians[values.indices]
        for first, last in zip(values.indptr[:-1], values.indptr[1:], strict=True):
            order = np.argsort(-values.data[first:last], kind="stable")[:room]
            ranked = genes.tokens[values.indices[first:last][order]]
            if framed and len(ranked):
                ranked = np.concatenate([[dictionaries.tokens[CLS]], ranked, [dictionaries.tokens[EOS]]])
            sequences.append(ranked)
            n_truncated += int(last - first > room)
    return sequences, n_truncated


def per_ten_thousand(counts: sparse.csr_matrix, projection: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale cells to 10,000 counts over all columns, then keep and sum columns as `projection` says.

    Returns
    -------
    Float64, with sorted indices and without stored zeros.
    """
    counts = counts.astype(np.float64)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    values = sparse.csr_matrix(counts @ projection)  # summed before scaling: sums of whole numbers are exact
    values.eliminate_zeros()
    values.sort_indices()
    values.data = values.data / np.repeat(totals, np.diff(values.indptr)) * TARGET_SUM
    return values

"""Rank-value tokens: a cell as its genes, from the one most above its usual expression downwards.

Upstream: ``TranscriptomeTokenizer`` of the ``geneformer`` package; verified token by token against it, V1 and V2 rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

from genept.core import threads
from genept.engines.geneformer.dictionaries import CLS, EOS, Dictionaries

TARGET_SUM = 10_000
CELLS_AT_ONCE = 256  # in one thread's turn; bounds the memory of a float64 copy


class GeneTokens(NamedTuple):
    """Which columns of an expression matrix are which tokens."""

    columns: sparse.csr_matrix
    """1 where a column has a token, float64, shape (n_columns, n_tokens)."""
    medians: np.ndarray
    """Median of each token's gene, NaN for special tokens; float64, shape (n_tokens,)."""

    @property
    def has_token(self) -> np.ndarray:
        """Whether each column has a token, shape (n_columns,)."""
        return np.diff(self.columns.indptr) > 0


def match(names: Sequence[str], dictionaries: Dictionaries) -> GeneTokens:
    """Find the token of every column.

    Parameters
    ----------
    names
        Ensembl id of every column, empty where unknown; aliases of the V2 dictionaries are understood.
    """
    genes = [dictionaries.gene(name) for name in names]
    tokens = [dictionaries.tokens[gene] if gene in dictionaries.medians else -1 for gene in genes]
    numbers = np.array(tokens, dtype=np.int32)
    rows = np.flatnonzero(numbers >= 0)
    shape = len(genes), len(dictionaries.tokens)
    medians = np.array([dictionaries.medians.get(token, np.nan) for token in dictionaries.tokens])
    order = np.argsort(list(dictionaries.tokens.values()))
    return GeneTokens(sparse.csr_matrix((np.ones(len(rows)), (rows, numbers[rows])), shape=shape), medians[order])


def relative(counts: sparse.csr_matrix, genes: GeneTokens) -> sparse.csr_matrix:
    """Return ``counts / n_counts * 10,000 / median`` of every gene that has a token.

    ``n_counts`` is the cell's total over all columns, also those without a token. Columns of one gene are summed, as
    V2 does and later editions of V1; the first V1 code ranked them as separate tokens of the same gene.

    Parameters
    ----------
    counts
        Shape (n_cells, n_columns); none may be negative.

    Returns
    -------
    Shape (n_cells, n_tokens), float64, tokens ascending, no stored zeros.
    """
    counts = counts.astype(np.float64)
    totals = counts @ np.ones(counts.shape[1])
    values = (counts @ genes.columns).tocsc().tocsr()  # which sorts in linear time
    values.eliminate_zeros()
    totals = np.repeat(totals, np.diff(values.indptr))
    values.data = values.data / totals * TARGET_SUM / genes.medians[values.indices]  # in upstream's order of rounding
    return values


def rank(
    counts: sparse.csr_matrix, genes: GeneTokens, dictionaries: Dictionaries, max_length: int
) -> tuple[list[np.ndarray], int]:
    """Turn cells into rank-value tokens.

    Non-zero values (see `relative`) are sorted descending; V2 dictionaries add <cls> in front and <eos> at the end,
    which count towards `max_length`.

    Parameters
    ----------
    counts
        Shape (n_cells, n_columns); none may be negative.
    max_length
        Longest sequence the network takes: 2,048 for the released V1, 4,096 for V2.

    Returns
    -------
    The token sequences, int32, empty for a cell without any gene that has a token, and how many cells were truncated.

    Notes
    -----
    Ties go to the smaller token, so that the order of the columns never matters; upstream leaves them to an unstable
    sort.
    """
    framed = dictionaries.version == "V2"
    room = max_length - 2 if framed else max_length
    front, end = (np.array([dictionaries.tokens[name]] if framed else [], dtype=np.int32) for name in (CLS, EOS))

    def rank_some(first: int) -> tuple[list[np.ndarray], int]:
        values = relative(counts[first : first + CELLS_AT_ONCE], genes)
        sequences = []
        for start, stop in pairwise(values.indptr):
            order = np.argsort(-values.data[start:stop], kind="stable")[:room]
            tokens = values.indices[start:stop][order].astype(np.int32, copy=False)
            sequences.append(np.concatenate((front, tokens, end)) if len(tokens) else tokens)
        return sequences, int((np.diff(values.indptr) > room).sum())

    parts = threads.each(rank_some, range(0, counts.shape[0], CELLS_AT_ONCE))
    return [sequence for sequences, _ in parts for sequence in sequences], sum(number for _, number in parts)

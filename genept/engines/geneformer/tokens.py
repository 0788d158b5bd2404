"""Rank-value tokens: a cell as its genes, from the one most above its usual expression downwards.

Upstream: ``TranscriptomeTokenizer`` of the ``geneformer`` package; verified token by token against it, V1 and V2 rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from genept.core import threads
from genept.engines.geneformer import ranking
from genept.engines.geneformer.dictionaries import CLS, EOS, Dictionaries

TARGET_SUM = 10_000
VALUES_AT_ONCE = 2**16  # few enough to stay in a processor's cache


@dataclass(frozen=True)
class GeneTokens:
    """Which columns of an expression matrix are which tokens.

    Attributes
    ----------
    tokens
        Token of each column, 0 where it has none; shape (n_columns,), int32.
    medians
        Median of each column's gene, infinite where it has no token; shape (n_columns,), float64.
    shared
        Whether another column has the same token; shape (n_columns,), bool.
    """

    tokens: np.ndarray
    medians: np.ndarray
    shared: np.ndarray

    @property
    def has_token(self) -> np.ndarray:
        """Whether each column of the expression matrix has a token."""
        return np.isfinite(self.medians)


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
    known = np.array([gene in dictionaries.tokens for gene in genes], dtype=bool)
    tokens = np.zeros(len(genes), dtype=np.int32)
    medians = np.full(len(genes), np.inf)
    found = [gene for gene in genes if gene in dictionaries.tokens]
    tokens[known] = [dictionaries.tokens[gene] for gene in found]
    medians[known] = [dictionaries.medians[gene] for gene in found]
    n_columns = np.bincount(tokens[known], minlength=1)
    return GeneTokens(tokens, medians, known & (n_columns[tokens] > 1))


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
    counts = without_zeros(counts)
    framed = dictionaries.version == "V2"
    room = max_length - 2 if framed else max_length
    front, end = (np.array([dictionaries.tokens[name]] if framed else [], dtype=np.int32) for name in (CLS, EOS))

    def rank_some(cells: slice) -> tuple[list[np.ndarray], int]:
        starts = counts.indptr[cells.start : cells.stop + 1]
        stored = slice(starts[0], starts[-1])
        starts, columns = starts - starts[0], counts.indices[stored]
        values = relative(counts.data[stored], columns, starts, genes)
        ranked, lengths = np.empty(len(values), dtype=np.int32), np.empty(len(starts) - 1, dtype=np.int64)
        ranking.descending(values, genes.tokens.take(columns), starts, ranked, lengths)
        kept = zip(starts[:-1].tolist(), np.minimum(lengths, room).tolist(), strict=True)
        sequences = [np.concatenate((front, ranked[start : start + n], end)) if n else ranked[:0] for start, n in kept]
        return sequences, int(np.count_nonzero(lengths > room))

    ranked_pieces = threads.each(rank_some, pieces(counts.indptr))
    return [cell for sequences, _ in ranked_pieces for cell in sequences], sum(n for _, n in ranked_pieces)


def without_zeros(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the matrix without stored zeros and with one stored value a place; the same object if it is so."""
    if counts.has_canonical_format and counts.data.all():
        return counts
    counts = counts.copy()
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def pieces(starts: np.ndarray) -> list[slice]:
    """Cut the cells into runs, each of those that begin within the same `VALUES_AT_ONCE` stored values."""
    first = np.flatnonzero(np.diff(starts[:-1] // VALUES_AT_ONCE, prepend=-1)).tolist()
    return [slice(start, end) for start, end in pairwise([*first, len(starts) - 1])]


def relative(counts: np.ndarray, columns: np.ndarray, starts: np.ndarray, genes: GeneTokens) -> np.ndarray:
    """Scale every count to ``counts / n_counts * 10,000 / median``.

    Parameters
    ----------
    counts, columns
        The stored counts, none 0, and their columns; shape (n,).
    starts
        Where each cell's counts begin, and where the last ones end; shape (n_cells + 1,).

    Returns
    -------
    Float64, shape (n,): 0 where the column has no token. Of several columns of a gene, the first in the cell has the
    value of their sum and the others 0.
    """
    values = counts.astype(np.float64)
    if genes.shared.any():
        add_up(values, columns, starts, genes)  # before scaling: sums of whole numbers are exact
    ranking.scale(values, columns, starts, genes.medians, TARGET_SUM)
    return values


def add_up(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, genes: GeneTokens) -> None:
    """Give the sum of a gene's columns to the first of them in each cell and 0 to the others, in place."""
    places = np.flatnonzero(genes.shared.take(columns))
    cells = np.searchsorted(starts, places, side="right")
    tokens = genes.tokens.take(columns[places])
    _, first, which = np.unique(cells * 2**32 + tokens, return_index=True, return_inverse=True)
    sums = np.bincount(which, weights=values[places])
    values[places] = 0
    values[places[first]] = sums

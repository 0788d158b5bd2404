"""Cells as scGPT reads them: vocabulary ids of the expressed genes and their expression in bins.

As upstream's ``embed_data`` and ``DataCollator`` (scgpt 0.2.4), with two deviations. Upstream's draws come from two
global, unseeded generators, one of them in as many copies as the machine has processors; here every cell has a
generator of its own, derived from (seed, cell id), so that neither other cells, nor their order, nor the machine
matter. And a sampled subset of genes stays in the order of ``var``, which the encoder, having no positions, cannot see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Tokens:
    """Cells as sequences of different length, one after the other; every cell begins with ``<cls>``.

    Attributes
    ----------
    ids
        Vocabulary ids, shape (n_tokens,), int32.
    values
        Bins 1 to n_bins - 1, and the pad value for ``<cls>``; shape (n_tokens,), int16.
    starts
        Where each cell's tokens begin, and where the last ones end; shape (n_cells + 1,), int64.
    n_expressed
        Vocabulary genes that each cell expresses, before sampling; shape (n_cells,).
    """

    ids: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    n_expressed: np.ndarray

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each cell, ``<cls>`` included; shape (n_cells,)."""
        return np.diff(self.starts)

    def of(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and values of some cells, cell after cell."""
        lengths = self.lengths[cells]
        places = np.arange(lengths.sum()) + np.repeat(self.starts[cells] - np.cumsum(lengths) + lengths, lengths)
        return self.ids[places], self.values[places]

    def pad(self, cells: np.ndarray, pad_id: int, pad_value: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ids and values (int64) and the mask of padding of some cells, each of shape (len(cells), longest)."""
        lengths = self.lengths[cells]
        real = np.arange(lengths.max(initial=1)) < lengths[:, None]
        ids = np.full(real.shape, pad_id, dtype=np.int64)
        values = np.full(real.shape, pad_value, dtype=np.int64)
        ids[real], values[real] = self.of(cells)
        return ids, values, ~real


def tokenise(
    x: sp.csr_matrix,
    cell_ids: Sequence[str],
    gene_ids: np.ndarray,
    *,
    cls_id: int,
    pad_value: int,
    n_bins: int,
    max_length: int,
    seed: int,
) -> Tokens:
    """Turn an expression matrix into tokens.

    Parameters
    ----------
    x
        Expression as it is, counts or log-normalised, shape (n_cells, n_genes); no normalisation, no gene selection.
    cell_ids
        The cells' ids, which together with `seed` decide the draws.
    gene_ids
        Vocabulary id of each gene, -1 for genes outside the vocabulary, which are left out.
    cls_id, pad_value
        Id and value of the ``<cls>`` token put before the genes.
    n_bins
        Number of bins with the one for zero. A cell's values are binned over all its vocabulary genes, so that what
        does not fit in `max_length` still counts.
    max_length
        Most tokens of a cell, ``<cls>`` included; of longer cells a random subset of the genes is taken.
    seed
        The model's seed.
    """
    x = vocabulary_counts(x, gene_ids)
    columns = np.asarray(gene_ids, dtype=np.int32)[np.asarray(gene_ids) >= 0]
    n_expressed = np.diff(x.indptr).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(np.minimum(n_expressed + 1, max_length))])
    ids = np.empty(starts[-1], dtype=np.int32)
    values = np.empty(starts[-1], dtype=np.int16)
    ids[starts[:-1]], values[starts[:-1]] = cls_id, pad_value
    for cell, cell_id in enumerate(cell_ids):
        row = slice(x.indptr[cell], x.indptr[cell + 1])
        genes, bins = draw(columns[x.indices[row]], x.data[row], generator(seed, cell_id), n_bins, max_length)
        tokens = slice(starts[cell] + 1, starts[cell + 1])
        ids[tokens], values[tokens] = genes, bins
    return Tokens(ids, values, starts, n_expressed)


def draw(
    genes: np.ndarray, values: np.ndarray, rng: np.random.Generator, n_bins: int, max_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the genes of one cell, or a random subset of `max_length` - 1 of them, with their binned values."""
    if not len(genes):
        return genes, values
    bins = binned(values, rng.random(len(values)), n_bins)
    n_kept = max_length - 1
    if len(genes) > n_kept:
        kept = np.sort(np.argpartition(rng.random(len(genes)), n_kept)[:n_kept])
        genes, bins = genes[kept], bins[kept]
    return genes, bins


def vocabulary_counts(x: sp.csr_matrix, gene_ids: np.ndarray) -> sp.csr_matrix:
    """Return the columns with a vocabulary id, float32, zeros dropped, genes in the order of the columns."""
    x = sp.csr_matrix(x, dtype=np.float32)[:, np.flatnonzero(np.asarray(gene_ids) >= 0)]
    x.sum_duplicates()  # sorts the columns of each row, too
    x.eliminate_zeros()
    return x


def binned(values: np.ndarray, uniforms: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin one cell's non-zero values by their own quantiles into 1 to `n_bins` - 1.

    The edges are ``np.quantile(values, np.linspace(0, 1, n_bins - 1))``. Values equal to several edges (most counts
    are 1) could be in any of the bins between them: a uniform number each spreads them. The result is that of
    upstream's ``binning``, to the bit, given the same uniform numbers, but looks each distinct value up only once.

    Parameters
    ----------
    values
        Non-zero values, shape (n,), float32.
    uniforms
        Numbers in [0, 1), shape (n,).
    """
    distinct, which, repeats = np.unique(values, return_inverse=True, return_counts=True)
    edges = quantiles(np.repeat(distinct, repeats), n_bins - 1)
    highest = np.searchsorted(edges, distinct, side="right")  # as np.digitize
    width = highest - np.searchsorted(edges, distinct, side="left")
    return np.ceil(highest[which] - uniforms * width[which])


def quantiles(ascending: np.ndarray, n: int) -> np.ndarray:
    """Return ``np.quantile(ascending, np.linspace(0, 1, n))``, to the bit, of values that are already sorted."""
    position = np.linspace(0, 1, n) * (len(ascending) - 1)
    below = np.floor(position).astype(np.intp)
    low, high = ascending[below], ascending[np.minimum(below + 1, len(ascending) - 1)]
    fraction, step = position - below, high - low
    return np.where(fraction < 0.5, low + step * fraction, high - step * (1 - fraction))


def generator(seed: int, cell_id: str) -> np.random.Generator:
    """Return the random generator of one cell: a counter-based one whose key is a hash of seed and cell id."""
    key = hashlib.blake2b(f"{seed}\0{cell_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))

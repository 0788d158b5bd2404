"""Cells as scGPT reads them: vocabulary ids of the expressed genes and their expression in bins.

As upstream's ``embed_data`` and ``DataCollator``, with the deviations of `genept.engines.scgpt.binning`. A sampled
subset of genes stays in the order of ``var``, which the encoder, having no positions, cannot see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from genept.core import compute
from genept.engines.scgpt import binning

CELLS_AT_ONCE = 128  # in one thread's turn


@dataclass(frozen=True)
class Tokens:
    """Cells as sequences of different length, one after the other; every cell begins with ``<cls>``."""

    ids: np.ndarray
    """Vocabulary ids, shape (n_tokens,), int32."""
    values: np.ndarray
    """Bins 1 to n_bins - 1, whole or half, and the pad value for ``<cls>``; shape (n_tokens,), float32."""
    starts: np.ndarray
    """Where each cell's tokens begin, and where the last ones end; shape (n_cells + 1,), int64."""
    n_expressed: np.ndarray
    """Vocabulary genes that each cell expresses, before sampling; shape (n_cells,)."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each cell, ``<cls>`` included; shape (n_cells,)."""
        return np.diff(self.starts)

    def take(self, cells: np.ndarray) -> Tokens:
        """Return some cells."""
        starts = np.concatenate([[0], np.cumsum(self.lengths[cells])])
        return Tokens(*self.of(cells), starts, self.n_expressed[cells])

    def of(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and values of some cells, cell after cell."""
        lengths = self.lengths[cells]
        places = np.arange(lengths.sum()) + np.repeat(self.starts[cells] - np.cumsum(lengths) + lengths, lengths)
        return self.ids[places], self.values[places]

    def pad(self, cells: np.ndarray, pad_id: int, pad_value: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ids (int64), values and the mask of padding of some cells, each of shape (len(cells), longest)."""
        lengths = self.lengths[cells]
        real = np.arange(lengths.max(initial=1)) < lengths[:, None]
        ids = np.full(real.shape, pad_id, dtype=np.int64)
        values = np.full(real.shape, pad_value, dtype=np.float32)
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
    drawn: bool = True,
) -> Tokens:
    """Turn an expression matrix into tokens.

    Parameters
    ----------
    x
        Counts or log-normalised, shape (n_cells, n_genes); no normalisation, no gene selection.
    cell_ids
        Together with `seed` they decide the draws.
    gene_ids
        Vocabulary id of each gene, -1 for genes outside the vocabulary, which are left out.
    n_bins
        With the one for zero. A cell's values are binned over all its vocabulary genes, also those beyond `max_length`.
    max_length
        Most tokens of a cell, ``<cls>`` included; of longer cells a random subset of the genes is read.
    drawn
        Draw the bin of a value that could be in several, as upstream; else take the mean of those bins.
    """
    x = sp.csr_matrix(x, dtype=np.float32)
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()  # sorts the columns of each row, too
    n_cells = x.shape[0]

    def each_part(compiled: Callable[..., None], *arguments: Any) -> None:
        firsts = range(0, n_cells, CELLS_AT_ONCE)
        compute.each(lambda first: compiled(first, min(first + CELLS_AT_ONCE, n_cells), *arguments), firsts)

    n_expressed = np.empty(n_cells, dtype=np.int64)
    matrix = x.indptr, x.indices, x.data, np.asarray(gene_ids, dtype=np.int32), n_expressed
    each_part(binning.count_expressed, *matrix)
    starts = np.concatenate([[0], np.cumsum(np.minimum(n_expressed + 1, max_length))])
    ids, values = np.empty(starts[-1], dtype=np.int32), np.empty(starts[-1], dtype=np.float32)
    ids[starts[:-1]], values[starts[:-1]] = cls_id, pad_value
    keys = np.frombuffer(b"".join(key(seed, cell_id) for cell_id in cell_ids), dtype="<u8").reshape(-1, 2)
    each_part(binning.fill, *matrix, keys, starts, np.linspace(0, 1, n_bins - 1), drawn, ids, values)
    return Tokens(ids, values, starts, n_expressed)


def key(seed: int, cell_id: str) -> bytes:
    """Return the two 64-bit numbers from which a cell's draws come, of its bins and of its subset of genes."""
    return hashlib.blake2b(f"{seed}\0{cell_id}".encode(), digest_size=16).digest()

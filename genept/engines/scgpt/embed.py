"""scGPT embeddings of cells, from a checkpoint in the released layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import compute
from genept.data.expression import coverage
from genept.engines.network import precision
from genept.engines.scgpt import checkpoint, network, tokens

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.engines.scgpt.config import Model


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as scGPT does: the encoder's output for ``<cls>``, with unit L2 norm.

    Upstream: ``scgpt.tasks.embed_data`` with the symbols of the published file. Deviations: a gene is looked up by its
    approved symbol first, then by its name in the file (`find_genes`), upstream knows the latter only; draws belong to
    the cell (`genept.engines.scgpt.binning`); a checkpoint that is not whole is refused; the number of bins is the
    checkpoint's, upstream always takes 51; float32 on a GPU too, upstream takes float16; a cell without any gene of the
    vocabulary, at which upstream fails, gets zeros.

    Parameters
    ----------
    cells
        Expression with gene symbols as ``var``'s index and, where there is a column ``original_symbol``, the names that
        the genes had in the published file. Counts and log-normalised values give the same bins, but for rounding.
    folder
        The model's folder: ``args.json``, ``vocab.json``, ``best_model.pt``.

    Returns
    -------
    Float32 matrix of shape (n_cells, embsize) and notes.

    Raises
    ------
    InputError
        If the checkpoint is not whole, no gene is in its vocabulary, or ``scgpt`` is asked for and not installed.
    """
    settings = config.embed
    workers = compute.workers(device)
    model = checkpoint.read(folder)
    old_names = [str(name) for name in cells.var.get("original_symbol", cells.var_names)]
    gene_ids, n_by_old_name = find_genes(list(cells.var_names), old_names, model.vocab)
    notes = {
        "implementation": settings.implementation,
        "device": compute.describe_devices(workers),
        "seed": settings.seed,
        "binning": settings.binning,
        "max_length": settings.max_length,
        "n_bins": model.args.n_bins,
        **coverage(cells, gene_ids >= 0),
        "n_genes_by_old_name": n_by_old_name,
    }
    sequences = tokens.tokenise(
        cells.X,
        list(cells.obs_names),
        gene_ids,
        cls_id=model.vocab[checkpoint.CLS],
        pad_value=model.args.pad_value,
        n_bins=model.args.n_bins,
        max_length=settings.max_length,
        seed=settings.seed,
        drawn=settings.binning == "drawn",
    )
    if settings.implementation == "upstream":
        from genept.engines.scgpt import upstream

        matrix = upstream.embed(model, sequences, workers[0])
    else:
        dtype = getattr(torch, settings.precision)
        matrix = network.embed(model, sequences, workers, dtype)
        if dtype is not torch.float32:
            some = precision.compared(len(sequences))
            exact = network.embed(model, sequences.take(some), workers)
            notes["against_float32"] = precision.difference(matrix[some], exact)
    matrix[sequences.n_expressed == 0] = 0
    notes |= {
        "n_cells_truncated": int((sequences.n_expressed + 1 > settings.max_length).sum()),
        "mean_length": round(float(sequences.lengths.mean()), 2),
        "comparable": True,
    }
    if cells.uns["x"] == "lognorm":
        notes["reason"] = (
            "scGPT reads each cell's values as bins between their own quantiles, "
            "which log-normalisation does not change"
        )
    return matrix, notes


def find_genes(symbols: Sequence[str], originals: Sequence[str], vocab: Mapping[str, int]) -> tuple[np.ndarray, int]:
    """Look genes up in a vocabulary: by the approved symbol, else by the name in the published file.

    A released vocabulary is older than HGNC's newest symbols, as the published files are. An old name counts only if it
    names one gene: not if it is another gene's approved symbol, nor if two genes share it that have no other name in
    the vocabulary; then neither is found.

    Parameters
    ----------
    symbols, originals
        Approved symbols, all different, and names in the published file, one of each per gene.

    Returns
    -------
    Number of each gene's token, -1 for genes outside the vocabulary, shape (n_genes,), int32; and how many genes were
    found by their old name.
    """
    approved = [vocab.get(symbol, -1) for symbol in symbols]
    old = [vocab.get(name, -1) if token < 0 else -1 for name, token in zip(originals, approved, strict=True)]
    uses = Counter([*approved, *old])
    old = [token if uses[token] == 1 else -1 for token in old]
    ids = np.maximum(np.array(approved, dtype=np.int32), np.array(old, dtype=np.int32))
    return ids, sum(token >= 0 for token in old)

"""scGPT embeddings of cells, from a checkpoint in the released layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import device as devices
from genept.core.errors import ParamsError
from genept.data.expression import coverage
from genept.engines.network import precision
from genept.engines.scgpt import checkpoint, network, tokens

if TYPE_CHECKING:
    from anndata import AnnData

BINNINGS = ("drawn", "expected")
RANKS = "scGPT reads each cell's values as bins between their own quantiles, which log-normalisation does not change"


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as scGPT does: the encoder's output for ``<cls>``, with unit L2 norm.

    Upstream: ``scgpt.tasks.embed_data`` with the symbols of the published file. The deviations: a gene is looked up by
    its approved symbol first, then by its name in the file (see `find_genes`), where upstream knows the latter only;
    draws belong to the cell (see `genept.engines.scgpt.binning`); a checkpoint that is not whole is refused (see
    `genept.engines.scgpt.checkpoint`); the number of bins is the checkpoint's, where upstream always takes 51; float32 on a GPU
    too, where upstream takes float16; a cell without any gene of the vocabulary, at which upstream fails, gets zeros.

    Parameters
    ----------
    cells
        Expression with gene symbols as ``var``'s index and, where there is a column ``original_symbol``, the names that
        the genes had in the published file. Counts and log-normalised values give the same bins, but for
        rounding, so both are comparable.
    folder
        The model's folder: ``args.json``, ``vocab.json``, ``best_model.pt``.
    options
        The model's entry in ``params.yaml``: ``implementation`` (``native``, or ``upstream`` for the network of the
        ``scgpt`` package), ``seed`` (of binning and sampling), ``max_length`` (most tokens of a cell), ``binning``
        (``drawn`` as upstream, by default; or ``expected``: of the bins that a value could be in, the mean, so that
        only cells longer than `max_length` depend on a seed) and ``precision`` (see `genept.engines.network.precision`).

    Returns
    -------
    Float32 matrix of shape (n_cells, embsize) and notes.

    Raises
    ------
    ParamsError
        If an option is missing, impossible or not known.
    InputError
        If the checkpoint is not whole, no gene is in its vocabulary, or ``scgpt`` is asked for and not installed.
    """
    dtype = precision.read(options)
    implementation, seed, max_length, binning = check(options)
    workers = devices.workers(device)
    model = checkpoint.read(folder)
    gene_ids, n_by_old_name = find_genes(list(cells.var_names), old_names(cells), model.vocab)
    notes = {"implementation": implementation, "device": devices.describe(workers), "seed": seed, "binning": binning}
    notes |= {"max_length": max_length, "n_bins": model.config.n_bins}
    notes |= {**coverage(cells, gene_ids >= 0), "n_genes_by_old_name": n_by_old_name}
    sequences = tokens.tokenise(
        cells.X,
        list(cells.obs_names),
        gene_ids,
        cls_id=model.vocab[checkpoint.CLS],
        pad_value=model.config.pad_value,
        n_bins=model.config.n_bins,
        max_length=max_length,
        seed=seed,
        drawn=binning == "drawn",
    )
    if implementation == "upstream":
        from genept.engines.scgpt import upstream

        matrix = upstream.embed(model, sequences, workers[0])
    else:
        matrix = network.embed(model, sequences, workers, dtype)
        if dtype is not torch.float32:
            some = precision.compared(len(sequences))
            exact = network.embed(model, sequences.take(some), workers)
            notes["against_float32"] = precision.difference(matrix[some], exact)
    matrix[sequences.n_expressed == 0] = 0
    notes |= {
        "n_cells_truncated": int((sequences.n_expressed + 1 > max_length).sum()),
        "mean_length": round(float(sequences.lengths.mean()), 2),
        "comparable": True,
    }
    if cells.uns["x"] == "lognorm":
        notes["reason"] = RANKS
    return matrix, notes


def old_names(cells: AnnData) -> list[str]:
    """Return the names that the genes had in the published file; the symbols where that is not recorded."""
    return [str(name) for name in cells.var.get("original_symbol", cells.var_names)]


def find_genes(symbols: Sequence[str], originals: Sequence[str], vocab: Mapping[str, int]) -> tuple[np.ndarray, int]:
    """Look genes up in a vocabulary: by the approved symbol, else by the name in the published file.

    A released vocabulary is older than HGNC's newest symbols, as the published files are. An old name counts only if
    it is the name of one gene here: not if another gene's approved symbol is that word, nor if two genes that have no
    other name in the vocabulary share it, in which case neither is found.

    Parameters
    ----------
    symbols, originals
        Approved symbols, all different, and names in the published file, one of each per gene.
    vocab
        The number of every token.

    Returns
    -------
    Number of each gene's token, -1 for genes outside the vocabulary, shape (n_genes,), int32; and how many genes were
    found by their old name.
    """
    approved = [vocab.get(symbol, -1) for symbol in symbols]
    old = [vocab.get(name, -1) if found < 0 else -1 for name, found in zip(originals, approved, strict=True)]
    uses = Counter([*approved, *old])
    old = [found if uses[found] == 1 else -1 for found in old]
    ids = np.maximum(np.array(approved, dtype=np.int32), np.array(old, dtype=np.int32))
    return ids, sum(found >= 0 for found in old)


def check(options: dict[str, Any]) -> tuple[str, int, int, str]:
    """Return implementation, seed, max_length and binning after checking them."""
    implementation, seed, max_length = (options.get(name) for name in ("implementation", "seed", "max_length"))
    binning = options.get("binning", "drawn")
    if implementation not in ("native", "upstream"):
        raise ParamsError(f"params.yaml: implementation must be native or upstream, got {implementation!r}")
    if type(seed) is not int:
        raise ParamsError(f"params.yaml: seed must be a whole number, got {seed!r}")
    if type(max_length) is not int or max_length < 2:
        raise ParamsError(f"params.yaml: max_length must be a whole number of at least 2, got {max_length!r}")
    if binning not in BINNINGS:
        raise ParamsError(f"params.yaml: binning must be {' or '.join(BINNINGS)}, got {binning!r}")
    if implementation == "upstream" and precision.read(options) is not torch.float32:
        raise ParamsError("params.yaml: implementation upstream runs in precision float32 only")
    return implementation, seed, max_length, binning

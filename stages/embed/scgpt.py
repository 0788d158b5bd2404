"""scGPT embeddings of cells, from a checkpoint in the released layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stages import device as devices
from stages.errors import ParamsError
from stages.expression import coverage
from stages.networks import precision
from stages.scgpt import checkpoint, network, tokens

if TYPE_CHECKING:
    from anndata import AnnData

BINNINGS = ("drawn", "expected")
RANKS = "scGPT reads each cell's values as bins between their own quantiles, which log-normalisation does not change"


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as scGPT does: the encoder's output for ``<cls>``, with unit L2 norm.

    Upstream: ``scgpt.tasks.embed_data`` with the symbols in ``var``'s index. The deviations: draws belong to the cell
    (see `stages.scgpt.binning`); a checkpoint that is not whole is refused (see `stages.scgpt.checkpoint`); the number
    of bins is the checkpoint's, where upstream always takes 51; float32 on a GPU too, where upstream takes float16; a
    cell without any gene of the vocabulary, at which upstream fails, gets zeros.

    Parameters
    ----------
    cells
        Expression with gene symbols as ``var``'s index. Counts and log-normalised values give the same bins, but for
        rounding, so both are comparable.
    folder
        The model's folder: ``args.json``, ``vocab.json``, ``best_model.pt``.
    options
        The model's entry in ``params.yaml``: ``implementation`` (``native``, or ``upstream`` for the network of the
        ``scgpt`` package), ``seed`` (of binning and sampling), ``max_length`` (most tokens of a cell), ``binning``
        (``drawn`` as upstream, by default; or ``expected``: of the bins that a value could be in, the mean, so that
        only cells longer than `max_length` depend on a seed) and ``precision`` (see `stages.networks.precision`).

    Returns
    -------
    Float32 matrix of shape (n_cells, embsize) and notes.

    Raises
    ------
    ParamsError
        If an option is missing or impossible.
    InputError
        If the checkpoint is not whole, no gene is in its vocabulary, or ``scgpt`` is asked for and not installed.
    """
    implementation, seed, max_length, binning = check(options)
    dtype = precision.read(options)
    workers = devices.workers(device)
    model = checkpoint.read(folder)
    gene_ids = np.array([model.vocab.get(symbol, -1) for symbol in cells.var_names], dtype=np.int32)
    notes = {"implementation": implementation, "device": devices.describe(workers), "seed": seed, "binning": binning}
    notes |= {"max_length": max_length, "n_bins": model.config.n_bins}
    notes |= coverage(cells, gene_ids >= 0)
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
        from stages.scgpt import upstream

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

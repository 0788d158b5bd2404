"""scGPT embeddings of cells, from a checkpoint in the released layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.device import resolve
from stages.errors import ParamsError
from stages.expression import coverage
from stages.scgpt import checkpoint, tokens

if TYPE_CHECKING:
    from anndata import AnnData

RANKS = "scGPT reads each cell's values as bins between their own quantiles, which log-normalisation does not change"


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as scGPT does: the encoder's output for ``<cls>``, with unit L2 norm.

    Upstream: ``scgpt.tasks.embed_data`` with the symbols in ``var``'s index. The deviations: draws belong to the cell
    (see `stages.scgpt.tokens`); a checkpoint that is not whole is refused (see `stages.scgpt.checkpoint`); the number
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
        ``scgpt`` package), ``seed`` (of binning and sampling) and ``max_length`` (most tokens of a cell).

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
    implementation, seed, max_length = check(options)
    model = checkpoint.read(folder)
    gene_ids = np.array([model.vocab.get(symbol, -1) for symbol in cells.var_names], dtype=np.int32)
    notes = {"implementation": implementation, "seed": seed, "max_length": max_length, "n_bins": model.config.n_bins}
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
    )
    if implementation == "upstream":
        from stages.scgpt import upstream as network
    else:
        from stages.scgpt import network  # type: ignore[no-redef]
    matrix = network.embed(model, sequences, resolve(device))
    matrix[sequences.n_expressed == 0] = 0
    notes |= {
        "n_cells_truncated": int((sequences.n_expressed + 1 > max_length).sum()),
        "mean_length": round(float(sequences.lengths.mean()), 2),
        "comparable": True,
    }
    if cells.uns["x"] == "lognorm":
        notes["reason"] = RANKS
    return matrix, notes


def check(options: dict[str, Any]) -> tuple[str, int, int]:
    """Return implementation, seed and max_length after checking them."""
    implementation, seed, max_length = (options.get(name) for name in ("implementation", "seed", "max_length"))
    if implementation not in ("native", "upstream"):
        raise ParamsError(f"params.yaml: implementation must be native or upstream, got {implementation!r}")
    if type(seed) is not int:
        raise ParamsError(f"params.yaml: seed must be a whole number, got {seed!r}")
    if type(max_length) is not int or max_length < 2:
        raise ParamsError(f"params.yaml: max_length must be a whole number of at least 2, got {max_length!r}")
    return implementation, seed, max_length

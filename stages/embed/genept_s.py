"""GenePT-s: a cell is a sentence, its gene symbols in descending order of expression, read by a text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

from stages.errors import ParamsError
from stages.expression import coverage
from stages.networks import precision
from stages.networks.text_encoder import TextEncoder

PROMPT = "A cell with genes ranked by expression: "
MAX_SYMBOLS = 1000


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every cell's sentence with the text encoder in `folder` (Chen & Zou, Section 2).

    The prompt and the limit of 1,000 symbols are the authors'. Their encoder (ada-002) read all of a sentence; a
    small one reads its beginning only, and the notes say how many symbols that is. Every gene is a word to the
    encoder, so none is missing.

    Raises
    ------
    ParamsError
        If ``max_symbols`` is not a positive whole number.
    """
    max_symbols = options.get("max_symbols", MAX_SYMBOLS)
    if not isinstance(max_symbols, int) or max_symbols < 1:
        raise ParamsError(f"params.yaml: max_symbols must be a whole number of at least 1, got {max_symbols!r}")
    prompt = options.get("prompt", PROMPT).replace("\n", " ")
    notes = coverage(cells, known=np.ones(cells.n_vars, dtype=bool))
    dtype = precision.read(options)
    encoder = TextEncoder(folder, device, dtype=dtype)
    x = cells.X.tocsr()
    # A symbol has at least one token, so the encoder cannot read more of them than it reads tokens.
    texts = list(sentences(x, list(cells.var_names), prompt, min(max_symbols, encoder.max_length)))
    encoded = encoder.encode(texts, label="cell sentences")
    n_read = [
        symbols_read(text, len(prompt), n_characters)
        for text, n_characters in zip(texts, encoded.n_characters, strict=True)
    ]
    if dtype is not torch.float32:
        some = precision.compared(len(texts))
        exact = TextEncoder(folder, device).encode([texts[i] for i in some])
        notes["against_float32"] = precision.difference(encoded.vectors[some], exact.vectors)
    return encoded.vectors, {
        **notes,
        "comparable": True,
        "device": encoder.device,
        "max_length": encoder.max_length,
        "n_truncated": int(encoded.truncated.sum()),
        "symbols_expressed_mean": round(float((x.data > 0).sum() / cells.n_obs), 2),
        "symbols_read_mean": round(float(np.mean(n_read)), 2),
        "symbols_read_min": min(n_read),
        "symbols_read_max": max(n_read),
    }


def sentences(x: csr_matrix, symbols: Sequence[str], prompt: str, max_symbols: int) -> Iterator[str]:
    """Yield per cell the prompt and its expressed genes' symbols, highest first, joined by single spaces.

    Normalising a cell does not change its order, so counts serve as well. Genes of equal expression come in
    alphabetical (code point) order, so that the order of the columns does not matter; the authors leave it to
    ``numpy.argsort``. Zeros are dropped; the first `max_symbols` are kept.

    Parameters
    ----------
    x
        Shape (n_cells, n_genes), not negative.
    symbols
        The genes' names, shape (n_genes,).
    """
    alphabetical = sorted(range(len(symbols)), key=symbols.__getitem__)
    names = np.array(symbols, dtype=object)[alphabetical]
    x = x[:, alphabetical]
    x.sort_indices()
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        values = x.data[start:end]
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 0][:max_symbols]
        yield prompt + " ".join(names[x.indices[start:end][order]])


def symbols_read(text: str, n_prompt: int, n_characters: int) -> int:
    """Return how many of a sentence's symbols lie wholly within its first `n_characters`."""
    read = text[n_prompt : n_characters + 1]  # and the character after: a space if the last symbol ends here
    return len((read if n_characters >= len(text) else read.rpartition(" ")[0]).split())

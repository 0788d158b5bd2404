"""GenePT-s: a cell is a sentence, its gene symbols in descending order of expression, read by a text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

from genept.core.errors import ParamsError
from genept.data.expression import coverage
from genept.engines.encoder.api import options as api_options
from genept.engines.encoder.api import tokens
from genept.engines.encoder.api.encode import encode
from genept.engines.encoder.text_encoder import TextEncoder
from genept.engines.genept_s import precomputed as _precomputed
from genept.engines.network import precision

PROMPT = "A cell with genes ranked by expression: "
MAX_SYMBOLS = 1000
ENCODERS = ("local", "openai", "file")


def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every cell's sentence (Chen & Zou, Section 2) with the encoder that the entry names.

    ``encoder: local`` (default)
        The sentence encoder in `folder`. A small one reads a sentence's beginning only.
    ``encoder: openai``
        The authors' encoder, text-embedding-ada-002, or another one behind an embeddings API (`genept.engines.encoder.api`).
    ``encoder: file``
        No encoder: vectors that somebody computed before, in `folder` (`genept.engines.genept_s.precomputed`).

    The prompt and the limit of 1,000 symbols are the authors'. Their encoder read all of a sentence; the notes say how
    many symbols ours reads. Every gene is a word to the encoder, so none is missing.

    Raises
    ------
    ParamsError
        If there is no such encoder, or ``max_symbols`` is not a positive whole number.
    """
    name = options.get("encoder", "local")
    if name not in ENCODERS:
        raise ParamsError(f"params.yaml: encoder must be {', '.join(ENCODERS[:-1])} or {ENCODERS[-1]}, got {name!r}")
    if name != "local" and "precision" in options:
        raise ParamsError(f"params.yaml: precision belongs to `encoder: local`, not to `encoder: {name}`")
    max_symbols = options.get("max_symbols", MAX_SYMBOLS)
    if not isinstance(max_symbols, int) or max_symbols < 1:
        raise ParamsError(f"params.yaml: max_symbols must be a whole number of at least 1, got {max_symbols!r}")
    prompt = options.get("prompt", PROMPT).replace("\n", " ")
    notes = coverage(cells, known=np.ones(cells.n_vars, dtype=bool))
    if name == "file":
        matrix, found = _precomputed.embed(cells, folder)
    elif name == "openai":
        matrix, found = by_api(cells, options, prompt, max_symbols)
    else:
        matrix, found = by_local_encoder(cells, folder, options, device, prompt, max_symbols)
    return matrix, {**notes, "comparable": True, **({} if name == "local" else {"encoder": name}), **found}


def by_local_encoder(
    cells: AnnData, folder: Path, options: dict[str, Any], device: str, prompt: str, max_symbols: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode the sentences with the text encoder in `folder`."""
    dtype = precision.read(options)
    encoder = TextEncoder(folder, device, dtype=dtype)
    symbols = list(cells.var_names)
    # A symbol has at least one token, so the encoder cannot read more of them than it reads tokens.
    rows = list(ranked(cells.X.tocsr(), symbols, min(max_symbols, encoder.max_length)))
    encoded = encoder.encode_words(prompt, symbols, rows, label="cell sentences")
    n_read = [
        symbols_read(sentence(prompt, symbols, row), len(prompt), n_characters)
        for row, n_characters in zip(rows, encoded.n_characters.tolist(), strict=True)
    ]
    notes = {}
    if dtype is not torch.float32:
        some = precision.compared(len(rows))
        exact = TextEncoder(folder, device).encode_words(prompt, symbols, [rows[i] for i in some])
        notes["against_float32"] = precision.difference(encoded.vectors[some], exact.vectors)
    return encoded.vectors, {
        **notes,
        "device": encoder.device,
        **reading(cells, encoder.max_length, int(encoded.truncated.sum()), n_read),
    }


def by_api(cells: AnnData, options: dict[str, Any], prompt: str, max_symbols: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Send the sentences to an embeddings API; one that is too long for the model is cut behind a symbol."""
    asked = api_options.read(options.get("openai"))
    counter = tokens.counter(asked.model)
    whole = list(sentences(cells.X.tocsr(), list(cells.var_names), prompt, max_symbols))
    texts = [tokens.cut(text, asked.max_tokens, counter.count, len(prompt)) for text in whole]
    encoded = encode(texts, asked, counter, label="cell sentences")
    n_cut = sum(len(text) < len(full) for text, full in zip(texts, whole, strict=True))
    n_read = [symbols_read(text, len(prompt), len(text)) for text in texts]
    return encoded.vectors, {**encoded.notes, **reading(cells, asked.max_tokens, n_cut, n_read)}


def reading(cells: AnnData, max_length: int, n_truncated: int, n_read: Sequence[int]) -> dict[str, Any]:
    """Say how much of the sentences an encoder of `max_length` tokens has read, for the notes.

    Parameters
    ----------
    n_truncated
        Sentences of which it read the beginning only.
    n_read
        Symbols read of every sentence, shape (n_cells,).
    """
    return {
        "max_length": max_length,
        "n_truncated": n_truncated,
        "symbols_expressed_mean": round(float((cells.X.tocsr().data > 0).sum() / cells.n_obs), 2),
        "symbols_read_mean": round(float(np.mean(n_read)), 2),
        "symbols_read_min": min(n_read),
        "symbols_read_max": max(n_read),
    }


def sentences(x: csr_matrix, symbols: Sequence[str], prompt: str, max_symbols: int) -> Iterator[str]:
    """Yield per cell its sentence: the prompt and the symbols that `ranked` names."""
    return (sentence(prompt, symbols, row) for row in ranked(x, symbols, max_symbols))


def sentence(prompt: str, symbols: Sequence[str], row: np.ndarray) -> str:
    """Return the prompt and the symbols of the genes in `row`, joined by single spaces."""
    return prompt + " ".join([symbols[gene] for gene in row.tolist()])


def ranked(x: csr_matrix, symbols: Sequence[str], max_symbols: int) -> Iterator[np.ndarray]:
    """Yield per cell the columns of its expressed genes, highest first.

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
    alphabetical = np.array(sorted(range(len(symbols)), key=symbols.__getitem__), dtype=np.int32)
    x = x[:, alphabetical]
    x.sort_indices()
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        values = x.data[start:end]
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 0][:max_symbols]
        yield alphabetical[x.indices[start:end][order]]


def symbols_read(text: str, n_prompt: int, n_characters: int) -> int:
    """Return how many of a sentence's symbols lie wholly within its first `n_characters`."""
    read = text[n_prompt : n_characters + 1]  # and the character after: a space if the last symbol ends here
    return len((read if n_characters >= len(text) else read.rpartition(" ")[0]).split())

"""GenePT-s: a cell is a sentence, its gene symbols in descending order of expression, read by a text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from genept.core.errors import InputError
from genept.data.expression import coverage
from genept.engines.encoder.loading import load_encoder
from genept.engines.genept_s import precomputed
from genept.engines.genept_s.config import Embed, Model
from genept.engines.network import precision


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every cell's sentence (Chen & Zou, Section 2) with the encoder that the model's file names.

    ``encoder: local``
        The sentence encoder in `folder`. A small one reads a sentence's beginning only.
    ``encoder: openai``
        The authors' encoder, text-embedding-ada-002, or another one behind an embeddings API.
    ``encoder: file``
        No encoder: vectors of your own in `folder` (`genept.engines.genept_s.precomputed`).

    The authors' encoder read all of a sentence; the notes say how many symbols this one reads. Every gene is a word to
    the encoder, so none is missing.
    """
    settings = config.embed
    notes = {**coverage(cells, known=np.ones(cells.n_vars, dtype=bool)), "comparable": True}
    if settings.encoder == "file":
        matrix, its_notes = precomputed.embed(cells, folder)
    else:
        matrix, its_notes = encode(cells, folder, settings, device)
    named = {} if settings.encoder == "local" else {"encoder": settings.encoder}
    return matrix, {**notes, **named, **its_notes}


def encode(cells: AnnData, folder: Path, settings: Embed, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode the sentences, and note how much of them was read; `InputError` if the prompt leaves no room."""
    encoder = load_encoder(settings, folder, device, settings.precision)
    prompt = settings.prompt.replace("\n", " ")
    symbols = list(cells.var_names)
    # A symbol has at least one token, so the encoder cannot read more of them than it reads tokens.
    rows = list(ranked(cells.X.tocsr(), symbols, min(settings.max_symbols, encoder.max_length)))
    encoded = encoder.encode_words(prompt, symbols, rows, label="cell sentences")
    n_read = [
        symbols_read(sentence(prompt, symbols, row), len(prompt), n_characters)
        for row, n_characters in zip(rows, encoded.n_characters.tolist(), strict=True)
    ]
    if not any(n_read) and any(len(row) for row in rows):
        raise InputError(f"embed.prompt fills all {encoder.max_length} tokens that the encoder reads; shorten it")
    notes = {}
    if settings.precision != "float32":
        some = precision.compared(len(rows))
        exact = load_encoder(settings, folder, device).encode_words(prompt, symbols, [rows[i] for i in some])
        notes["against_float32"] = precision.difference(encoded.vectors[some], exact.vectors)
    return encoded.vectors, {
        **notes,
        **encoded.notes,
        "max_length": encoder.max_length,
        "n_truncated": int(encoded.truncated.sum()),
        "symbols_expressed_mean": round(float((cells.X.tocsr().data > 0).sum() / cells.n_obs), 2),
        "symbols_read_mean": round(float(np.mean(n_read)), 2),
        "symbols_read_min": min(n_read),
        "symbols_read_max": max(n_read),
    }


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

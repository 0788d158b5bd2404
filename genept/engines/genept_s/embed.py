"""GenePT-s: a cell is a sentence, its gene symbols in descending order of expression, read by a text encoder.

With ``encoder: file`` somebody else has computed the vectors. Then ``models/<model>/`` has ``<name>.csv`` (a header;
the first column the cell's id, the others its coordinates), or ``<name>.npy`` of shape (n_rows, n_dimensions) with the
ids in ``<name>.cells.txt``, one on each line. Ids are compared to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from genept.core import files
from genept.core.errors import InputError
from genept.core.notes import Mean, Total
from genept.core.readers import read_matrix
from genept.data.expression import coverage
from genept.engines.encoder.loading import load_encoder
from genept.engines.genept_s.config import Embed, Model
from genept.engines.network import transformer


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every cell's sentence (Chen & Zou, Section 2) with the encoder that the model's file names.

    ``local`` is the sentence encoder in `folder`, ``openai`` the authors' encoder, text-embedding-ada-002, or another
    one behind an embeddings API, ``file`` none: vectors of your own in `folder` (`read_vectors`). The authors' encoder
    read all of a sentence, a small one reads its beginning; the notes say how many symbols. Every gene is a word to the
    encoder, so none is missing.
    """
    settings = config.embed
    notes = {**coverage(cells, known=np.ones(cells.n_vars, dtype=bool)), "comparable": True}
    if settings.encoder == "file":
        matrix, its_notes = read_vectors(cells, folder)
    else:
        matrix, its_notes = encode(cells, folder, settings, device)
    named = {} if settings.encoder == "local" else {"encoder": settings.encoder}
    return matrix, {**notes, **named, **its_notes}


def encode(cells: AnnData, folder: Path, settings: Embed, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode the sentences, and note how much of them was read; `InputError` if the prompt leaves no room."""
    encoder = load_encoder(settings, folder, device, settings.precision)
    prompt = settings.prompt.replace("\n", " ")
    approved = list(cells.var_names)
    symbols = approved if settings.names == "approved" else cells.var["original_symbol"].astype(str).tolist()
    x = cells.X.tocsr()
    # A symbol has at least one token, so the encoder cannot read more of them than it reads tokens.
    most = min(settings.max_symbols, encoder.max_length)
    by_authors = settings.order == "authors"
    rows = list(ranked_by_authors(x, most, cells.uns.get("x_dtype")) if by_authors else ranked(x, approved, most))
    encoded = encoder.encode_words(prompt, symbols, rows, label="cell sentences")
    n_read = [
        symbols_read(sentence(prompt, symbols, row), len(prompt), n_characters)
        for row, n_characters in zip(rows, encoded.n_characters.tolist(), strict=True)
    ]
    if not any(n_read) and any(len(row) for row in rows):
        raise InputError(f"embed.prompt fills all {encoder.max_length} tokens that the encoder reads; shorten it")
    notes = {}
    if not settings.is_default:
        notes["against_default"] = differences(rows, list(ranked(x, approved, most)), n_read, symbols, approved)
    if settings.precision != "float32":
        some = transformer.rows_to_compare(len(rows))
        exact = load_encoder(settings, folder, device).encode_words(prompt, symbols, [rows[i] for i in some])
        notes["against_float32"] = transformer.distance(encoded.vectors[some], exact.vectors)
    return encoded.vectors, {
        **notes,
        **encoded.notes,
        "max_length": encoder.max_length,
        "n_truncated": Total(encoded.truncated.sum()),
        "symbols_expressed_mean": Mean((x.data > 0).sum(), cells.n_obs, digits=2),
        "symbols_read_mean": Mean(sum(n_read), len(n_read), digits=2),
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
    ``numpy.argsort`` (`ranked_by_authors`). Zeros are dropped; the first `max_symbols` are kept. `x` has shape
    (n_cells, n_genes).
    """
    alphabetical = np.array(sorted(range(len(symbols)), key=symbols.__getitem__), dtype=np.int32)
    x = x[:, alphabetical]
    x.sort_indices()
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        values = x.data[start:end]
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 0][:max_symbols]
        yield alphabetical[x.indices[start:end][order]]


def ranked_by_authors(x: csr_matrix, max_symbols: int, dtype: str | None = None) -> Iterator[np.ndarray]:
    """Yield per cell the columns of its expressed genes, highest first, as the authors' notebook orders them.

    That is ``np.argsort(cell)[::-1]`` without zeros, on the dense row in the order of the dataset's columns, in the
    type of its file, `dtype` (None: that of `x`). The default kind of sort is unstable: where values are equal, the
    order depends on the whole row, and on numpy's version, the type and the processor, for which numpy has different
    sorts (numpy 2.4 gives another order without AVX2 and AVX-512). So it is one of the orders that the authors may have
    had. Columns that `stages.label` dropped are not there; of a dataset in two files the order is the reference's.
    """
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        cell = np.zeros(x.shape[1], dtype=dtype or x.dtype)
        cell[x.indices[start:end]] = x.data[start:end]
        order = np.argsort(cell)[::-1]
        yield order[cell[order] > 0][:max_symbols].astype(np.int32)


def differences(
    rows: Sequence[np.ndarray],
    default: Sequence[np.ndarray],
    n_read: Sequence[int],
    symbols: Sequence[str],
    approved: Sequence[str],
) -> dict[str, float]:
    """Measure how far sentences are from those by default, as far as they are read; means of shares over cells.

    `rows` and `default` are the columns of each cell in either order, of which the first `n_read` are read; `symbols`
    and `approved` the names of the columns. ``symbols``: share of the symbols read that the default's does not have
    among as many; ``places``: share of the places where the default's has another symbol. Cells of which nothing is
    read do not count.
    """
    by_symbol, by_place = [], []
    for row, other, n in zip(rows, default, n_read, strict=True):
        if n:
            ours, theirs = ([names[gene] for gene in genes[:n]] for names, genes in ((symbols, row), (approved, other)))
            by_symbol.append(len(set(ours) - set(theirs)) / n)
            by_place.append(sum(a != b for a, b in zip(ours, theirs, strict=True)) / n)
    return {
        name: Mean(np.sum(shares), len(shares), digits=6)
        for name, shares in (("symbols", by_symbol), ("places", by_place))
    }


def symbols_read(text: str, n_prompt: int, n_characters: int) -> int:
    """Return how many of a sentence's symbols lie wholly within its first `n_characters`."""
    read = text[n_prompt : n_characters + 1]  # and the character after: a space if the last symbol ends here
    return len((read if n_characters >= len(text) else read.rpartition(" ")[0]).split())


def read_vectors(cells: AnnData, folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the vectors of the cells and notes, from the one table in `folder` that has all of them (per dataset).

    `InputError` if none or several have, or one is damaged, holds anything but numbers, or repeats a cell.
    """
    tables = {path: read_table(path) for path in sorted(folder.glob("*")) if path.suffix in (".npy", ".csv")}
    if not tables:
        raise InputError(f"{folder}: no vectors; put NAME.csv, or NAME.npy and NAME.cells.txt, there")
    absent = {path: ~cells.obs_names.isin(ids) for path, (_, ids) in tables.items()}
    complete = [path for path, mask in absent.items() if not mask.any()]
    if not complete:
        path, mask = min(absent.items(), key=lambda item: item[1].sum())
        raise InputError(
            f"{path}: lacks {mask.sum():,} of {cells.n_obs:,} cells, the first is {cells.obs_names[mask][0]!r}; ids "
            "must be equal to the letter"
        )
    if len(complete) > 1:
        raise InputError(f"{complete[0]} and {complete[1]} both have all {cells.n_obs:,} cells; keep one of them")
    vectors, ids = tables[complete[0]]
    notes = {"file": complete[0].name, "file_sha256": files.sha256(complete[0])}
    return np.asarray(vectors[ids.get_indexer(cells.obs_names)], dtype=np.float32), notes


def read_table(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Read a table: vectors of shape (n_rows, n_dimensions) and the cell ids of the rows."""
    files.require_file(path)
    try:
        vectors, ids = read_npy(path) if path.suffix == ".npy" else read_csv(path)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a table of vectors ({str(error).splitlines()[0]})") from None
    if ids.has_duplicates:
        raise InputError(f"{path}: cell id {ids[ids.duplicated()][0]!r} occurs more than once")
    return vectors, ids


def read_npy(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Map a matrix into memory and read the ids beside it."""
    vectors = read_matrix(path, "save it again by numpy.save", dtype=None)
    ids_path = path.with_suffix(".cells.txt")
    if not ids_path.is_file():
        raise InputError(f"{ids_path}: no such file; it names the cells of {path.name}, one on each line")
    ids = ids_path.read_text(encoding="utf-8").splitlines()
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise ValueError(f"{vectors.dtype} of shape {vectors.shape} for {len(ids)} cells")
    return vectors, pd.Index(ids, dtype=object)


def read_csv(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Read ids as text (an index column would turn 007 into a number) and everything else as numbers."""
    header = pd.read_csv(path, nrows=0).columns
    if len(header) < 2:
        raise ValueError("one column; expected ids and coordinates")
    table = pd.read_csv(path, dtype={header[0]: str}, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first columns for row names
        raise ValueError("rows have more columns than the header")
    return table.iloc[:, 1:].to_numpy(dtype=np.float32), pd.Index(table.iloc[:, 0].astype(str), dtype=object)

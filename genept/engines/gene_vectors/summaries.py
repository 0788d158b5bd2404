"""Summaries of genes: a text per symbol, GenePT's ``NCBI_summary_of_genes.json`` or a table.

A JSON file holds ``{symbol: text}``. A csv has a line of titles; the columns are found by theirs, ``symbol`` and
``summary`` or ``Gene_summary``, in any case. Either may be gzipped. Symbols are harmonised as those of a dataset
(`genept.data.genes`), so that a summary under an old symbol is found.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genept.core import files
from genept.core.errors import InputError
from genept.data.genes import Table, under_approved_symbols
from genept.data.hgnc import Gene

SYMBOL_TITLE = "symbol"
SUMMARY_TITLES = ("summary", "gene_summary")


class Summaries(NamedTuple):
    """The summaries of a file."""

    texts: dict[str, str]  # by approved symbol, where HGNC has one
    card: dict[str, Any]  # file, hash and counts, for the card of the vectors


def read(path: Path, hgnc_genes: Iterable[Gene]) -> Summaries:
    """Read the summaries; empty ones count as none, and of two for one gene that under the better symbol stays.

    Raises
    ------
    InputError
        If the file is damaged, is of another form, or holds no summary of a gene that HGNC knows.
    """
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in (".json", ".csv"):
        raise InputError(f"{path}: expected summaries as .json, .csv, .json.gz or .csv.gz")
    texts: dict[str, str] = {}
    try:
        for symbol, text in from_json(path) if kind == ".json" else from_csv(path):
            symbol, text = (" ".join(part.split()) for part in (symbol, text))
            if symbol and text:
                texts.setdefault(symbol, text)
    except (gzip.BadGzipFile, zlib.error, EOFError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not readable ({' '.join(str(error).split())}); fetch it again") from None
    harmonised = under_approved_symbols(path, list(texts), Table(hgnc_genes))
    return Summaries(
        {symbol: texts[name] for symbol, name in zip(harmonised.symbols, harmonised.original, strict=True)},
        {"file": path.name, "sha256": files.sha256(path), "n_summaries": len(texts)},
    )


def from_json(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the symbols and texts of a JSON object; null and NaN count as no text."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
        content = json.loads(stream.read())
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object from gene symbols to summaries")
    for symbol, text in content.items():
        if not isinstance(text, str | float | None):
            raise InputError(f"{path}: {symbol} has no text but {type(text).__name__}")
        yield symbol, text if isinstance(text, str) else ""


def from_csv(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the symbols and texts of a table."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").fillna("")
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first columns for row names
        raise ValueError("rows have more columns than the header")
    table.columns = table.columns.str.strip().str.lower()
    summary = next((title for title in SUMMARY_TITLES if title in table), None)
    if SYMBOL_TITLE not in table or summary is None:
        raise InputError(f"{path}: expected a column {SYMBOL_TITLE} and a column {' or '.join(SUMMARY_TITLES)}")
    yield from zip(table[SYMBOL_TITLE], table[summary], strict=True)

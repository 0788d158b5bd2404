"""Gene vectors from texts: a gene's names in HGNC, also its designations in NCBI Gene, or a summary.

Summaries are GenePT's ``NCBI_summary_of_genes.json`` (``{symbol: text}``) or a csv, whose columns are found by their
titles, ``symbol`` and ``summary`` or ``Gene_summary``, in any case. Either may be gzipped. Symbols are harmonised as
those of a dataset (`genept.data.genes`), so that a summary under an old symbol is found.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genept.core import files
from genept.core.errors import InputError, ParamsError
from genept.data.gene_vectors import GeneVectors, VectorGene
from genept.data.genes import Table, under_approved_symbols
from genept.data.hgnc import Gene
from genept.engines.encoder.loading import load_encoder
from genept.engines.genept_w.config import Vectors

NCBI = Path("data/reference/genes_ncbi.py")
LITERAL = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # a Python string
ENTRY = re.compile(rf"^ *(\d+) *: *NtData\(.*?\bother_designations={LITERAL}", re.MULTILINE)
SYMBOL_TITLE = "symbol"
SUMMARY_TITLES = ("summary", "gene_summary")


def make(config: Vectors, folder: Path, hgnc_genes: list[Gene], device: str) -> GeneVectors:
    """Embed a text about every gene; `folder` has the files of a local encoder, and the summaries.

    `InputError` if a file is missing or damaged, or no gene has a text; `ParamsError` if no gene is of a locus type.
    """
    chosen, lines, card = write_texts(config, folder, hgnc_genes)
    encoder = load_encoder(config, folder, device)
    encoded = encoder.encode(lines, label="gene texts")
    genes = [
        VectorGene(gene.symbol, gene.ensembl_id, int(n_tokens), bool(truncated), line)
        for gene, n_tokens, truncated, line in zip(chosen, encoded.n_tokens, encoded.truncated, lines, strict=True)
    ]
    n_truncated = int(encoded.truncated.sum())
    card |= {
        **encoder.card(),
        "n_truncated": n_truncated,
        "n_without_ensembl_id": sum(not gene.ensembl_id for gene in genes),
    }
    summary = f"{n_truncated} texts were longer than {encoder.max_length} tokens"
    return GeneVectors(encoded.vectors, genes, card, summary)


def write_texts(config: Vectors, folder: Path, hgnc_genes: list[Gene]) -> tuple[list[Gene], list[str], dict[str, Any]]:
    """Choose the genes, write the text of each, and describe both for the card; see `make`."""
    genes = choose(hgnc_genes, config.locus_types)
    card: dict[str, Any] = {"vectors": "text", "text": config.text}
    if config.text == "name":
        lines = [name(gene) for gene in genes]
    elif config.text == "long":
        designations = read_designations()
        lines = [long(gene, designations) for gene in genes]
    else:
        found = read_summaries(folder / str(config.summaries), hgnc_genes)
        without = [gene for gene in genes if gene.symbol not in found.texts]
        if config.without_summary == "leave_out":
            genes = [gene for gene in genes if gene.symbol in found.texts]
        if not genes:
            raise InputError(f"{folder / str(config.summaries)}: none of the chosen genes has a summary")
        lines = [found.texts.get(gene.symbol) or name(gene) for gene in genes]
        card |= {"summaries": found.card, "without_summary": config.without_summary or "name"}
        card["n_without_summary"] = len(without)
    return genes, lines, {**card, "locus_types": config.locus_types}


def choose(genes: Iterable[Gene], locus_types: Collection[str] | None) -> list[Gene]:
    """Return the genes of the given HGNC locus types, or all of them for None, in the order given."""
    genes = list(genes)
    known = {gene.locus_type for gene in genes}
    for locus_type in locus_types or ():
        if locus_type not in known:
            raise ParamsError(
                f"vectors.locus_types: no gene is of type {locus_type!r}; HGNC has {', '.join(sorted(known))}"
            )
    return [gene for gene in genes if locus_types is None or gene.locus_type in locus_types]


def name(gene: Gene) -> str:
    """``CD19: CD19 molecule``."""
    return f"{gene.symbol}: {gene.name}"


def long(gene: Gene, designations: Mapping[str, list[str]]) -> str:
    """``CD19: CD19 molecule. Also known as: B4, CVID3. Designations: B-lymphocyte antigen CD19; ...``."""
    parts = [name(gene)]
    if gene.aliases:
        parts.append(f"Also known as: {', '.join(gene.aliases)}")
    if found := designations.get(gene.ncbi_id):
        parts.append(f"Designations: {'; '.join(found)}")
    return ". ".join(parts)


def read_designations(path: Path = NCBI) -> dict[str, list[str]]:
    """Read the other designations of every gene in GOATOOLS' NCBI table, by NCBI Gene id.

    The table is Python source. It is searched as text and never run; only its string literals are evaluated.
    """
    files.require_file(path)
    try:
        found = {
            ncbi_id: [designation for designation in ast.literal_eval(literal).split("|") if designation]
            for ncbi_id, literal in ENTRY.findall(path.read_text(encoding="utf-8"))
        }
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{path}: not readable as GOATOOLS' table of NCBI genes ({error}); fetch it again") from None
    if not found:
        raise InputError(f"{path}: no gene found; expected GOATOOLS' table of NCBI genes")
    return found


class Summaries(NamedTuple):
    """The summaries of a file."""

    texts: dict[str, str]  # by approved symbol, where HGNC has one
    card: dict[str, Any]  # file, hash and counts, for the card of the vectors


def read_summaries(path: Path, hgnc_genes: Iterable[Gene]) -> Summaries:
    """Read the summaries; empty ones count as none, and of two for one gene that under the better symbol stays.

    `InputError` if the file is damaged, is of another form, or holds no summary of a gene that HGNC knows.
    """
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in (".json", ".csv"):
        raise InputError(f"{path}: expected summaries as .json, .csv, .json.gz or .csv.gz")
    files.require_file(path)
    texts: dict[str, str] = {}
    try:
        for symbol, text in read_json(path) if kind == ".json" else read_csv(path):
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


def read_json(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the symbols and texts of a JSON object; null and NaN count as no text."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
        content = json.loads(stream.read())
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object from gene symbols to summaries")
    for symbol, text in content.items():
        if not isinstance(text, str | float | None):
            raise InputError(f"{path}: {symbol} has no text but {type(text).__name__}")
        yield symbol, text if isinstance(text, str) else ""


def read_csv(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the symbols and texts of a table."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").fillna("")
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first columns for row names
        raise ValueError("rows have more columns than the header")
    table.columns = table.columns.str.strip().str.lower()
    summary = next((title for title in SUMMARY_TITLES if title in table), None)
    if SYMBOL_TITLE not in table or summary is None:
        raise InputError(f"{path}: expected a column {SYMBOL_TITLE} and a column {' or '.join(SUMMARY_TITLES)}")
    yield from zip(table[SYMBOL_TITLE], table[summary], strict=True)

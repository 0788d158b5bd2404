"""The HGNC table: every approved human gene symbol with its name, former and alternative symbols, and Ensembl id."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from genept.core import files
from genept.core.errors import InputError

PATH = Path("data/reference/hgnc.tsv")
COLUMNS = (
    "Status",
    "Approved symbol",
    "Approved name",
    "Alias symbols",
    "Previous symbols",
    "Ensembl gene ID",
    "Locus type",
    "NCBI Gene ID(supplied by NCBI)",
)


class Gene(NamedTuple):
    """One approved entry of the HGNC table."""

    symbol: str
    name: str
    aliases: tuple[str, ...]
    previous: tuple[str, ...]
    ensembl_id: str  # without version; empty where HGNC gives none
    locus_type: str
    ncbi_id: str = ""  # NCBI Gene id, a number; empty where HGNC gives none


def read(path: Path = PATH) -> list[Gene]:
    """Read the approved genes in the order of the table; withdrawn entries are left out.

    The table is HGNC's custom download as text: tab-separated, no quoting, several symbols in one cell separated by
    commas. `InputError` if one of `COLUMNS` is missing, a row is cut short, or no row is approved.
    """
    with files.require_file(path).open(encoding="utf-8") as stream:
        try:
            rows = [line.rstrip("\n").split("\t") for line in stream]
        except UnicodeDecodeError:
            raise InputError(f"{path}: not text in UTF-8; fetch it again") from None
    titles = rows[0] if rows else []
    if missing := [title for title in COLUMNS if title not in titles]:
        raise InputError(f"{path}: not an HGNC table, no column {', '.join(map(repr, missing))}")
    columns = itemgetter(*map(titles.index, COLUMNS))
    genes = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(titles):
            raise InputError(f"{path}: line {number} has {len(row)} columns, not {len(titles)}; fetch it again")
        status, symbol, name, aliases, previous, ensembl_id, locus_type, ncbi_id = columns(row)
        if status == "Approved":
            ensembl_id = ensembl_id.partition(".")[0]
            genes.append(Gene(symbol, name, split(aliases), split(previous), ensembl_id, locus_type, ncbi_id))
    if not genes:
        raise InputError(f"{path}: no approved gene in it; fetch it again")
    return genes


def split(cell: str) -> tuple[str, ...]:
    """Split a cell such as ``"BRCC1, FANCS"`` into its symbols, in the table's order."""
    return tuple(stripped for symbol in cell.split(",") if (stripped := symbol.strip()))

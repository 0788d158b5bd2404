"""Tables of marker genes: a row per cell type and gene, with the address and the words of its source."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from genept.core.errors import InputError
from genept.data.genes import Table

COLUMNS = ("cell_type", "gene", "source", "quote")
REQUIRED = ("cell_type", "gene", "source")  # in every row; a figure has no words to quote
UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Markers:
    """The marker genes of cell types, in the order of the table."""

    genes: dict[str, tuple[str, ...]]  # of each type, under approved symbols
    renamed: dict[str, str]  # symbols of the table that HGNC has since replaced
    unknown: tuple[str, ...]  # symbols that HGNC does not know, or that mean several genes; they stay as they are


def read(path: Path, table: Table) -> Markers:
    """Read a marker table: tab-separated, quoted as in CSV, with a header that has at least `COLUMNS`.

    Empty lines are skipped. A gene that two sources name for one type counts once.

    Raises
    ------
    InputError
        If there is no table, a column is missing, or a row has no type, gene or source.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no marker table; name a file markers.tsv under `source` in data/<dataset>.yaml "
            "(data/markers/README.md lists those of this repository), then fetch"
        )
    genes: dict[str, dict[str, None]] = {}
    renamed, unknown = dict[str, str](), dict[str, None]()
    for row in rows(path):
        symbol = row["gene"]
        if gene := table.find(symbol).gene:
            if gene.symbol != symbol:
                renamed[symbol] = gene.symbol
            symbol = gene.symbol
        else:
            unknown[symbol] = None
        genes.setdefault(row["cell_type"], {})[symbol] = None
    if not genes:
        raise InputError(f"{path}: has no marker gene")
    return Markers({name: tuple(symbols) for name, symbols in genes.items()}, renamed, tuple(unknown))


def rows(path: Path) -> list[dict[str, str]]:
    """Read and check the rows of a marker table, spaces around values removed."""
    checked = []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            header = reader.fieldnames or []
            if missing := [name for name in COLUMNS if name not in header]:
                raise InputError(f"{path}: no column {', '.join(missing)}; a marker table has {', '.join(COLUMNS)}")
            for cells in reader:
                where = f"{path}: line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise InputError(f"{where} does not have the {len(header)} columns of the header")
                if not "".join(cells.values()).strip():
                    continue
                row = {name: cells[name].strip() for name in REQUIRED}
                if empty := [name for name, value in row.items() if not value]:
                    raise InputError(f"{where} has no {empty[0]}; every marker needs its cell type, gene and source")
                if row["cell_type"] == UNKNOWN:
                    raise InputError(f"{where}: {UNKNOWN} is the name of clusters without a type; choose another")
                checked.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not readable as tab-separated text ({error})") from None
    return checked

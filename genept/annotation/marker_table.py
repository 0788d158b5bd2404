"""Tables of marker genes: one row per cell type and gene, with the address and words of the source that was opened."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from genept.core.errors import InputError
from genept.data.genes import Table

COLUMNS = ("cell_type", "gene", "source", "quote")
NEEDED = ("cell_type", "gene", "source")  # a figure has no words to quote
UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Markers:
    """Marker genes.

    Attributes
    ----------
    genes
        Per cell type its genes under their approved symbols, both in the order of the table.
    renamed
        Symbols of the table that HGNC has since replaced.
    unknown
        Symbols that HGNC does not know, or that mean several genes; they stay as they are.
    """

    genes: dict[str, tuple[str, ...]]
    renamed: dict[str, str]
    unknown: tuple[str, ...]


def read(path: Path, table: Table) -> Markers:
    """Read a table: tab-separated, quoted as CSV is, with a line of titles, the columns `COLUMNS` and any others.

    Empty lines are left out. A gene named twice for a type, as by two sources, counts once.

    Raises
    ------
    InputError
        If a column is missing, or a row has no type, gene or source.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t")
        titles = next(rows, [])
        missing = [title for title in COLUMNS if title not in titles]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; a marker table has {', '.join(COLUMNS)}")
        places = {title: titles.index(title) for title in NEEDED}
        genes: dict[str, dict[str, None]] = {}
        renamed, unknown = dict[str, str](), dict[str, None]()
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}: line {rows.line_num}"
            if len(cells) != len(titles):
                raise InputError(f"{where} has {len(cells)} columns, not {len(titles)}")
            row = {title: cells[place].strip() for title, place in places.items()}
            for title, value in row.items():
                if not value:
                    raise InputError(f"{where} has no {title}; every marker needs its cell type, gene and source")
            cell_type, name = row["cell_type"], row["gene"]
            if cell_type == UNKNOWN:
                raise InputError(f"{where}: no cell type can be called {UNKNOWN}, which clusters without one are")
            found = table.find(name)
            symbol = found.gene.symbol if found.gene else name
            if found.gene is None:
                unknown[name] = None
            elif symbol != name:
                renamed[name] = symbol
            genes.setdefault(cell_type, {})[symbol] = None
    if not genes:
        raise InputError(f"{path}: no marker in it")
    return Markers({name: tuple(symbols) for name, symbols in genes.items()}, renamed, tuple(unknown))

"""Marker genes: their tables, with a row per cell type, gene and source, and the cell types that clusters get by them.

A cell type's score and call: the mean log-normalised expression of a marker gene in each cluster is standardised over
the clusters, z = (mean of the cluster - mean over clusters) / standard deviation over clusters. A cluster's score for a
type is the mean z of the type's genes that the data has. The cluster gets the type with the largest score if that is
above 0 and exceeds the next type's by `min_margin`; else it is ``Unknown``.

- Each cluster counts once. Standardised over cells, z would depend on how many cells a type has.
- The standard deviation is at least `MIN_SD`. Else the noise of a gene that hardly differs would weigh as much as a
  good marker's difference.
- z is limited to -`LIMIT` and `LIMIT`. Among many clusters, a gene that only one expresses reaches a z of 4 and more,
  and would alone outvote a type of several genes.
- The score of a type of few genes is not lowered, since authors name one gene where one is enough. The limit bounds
  what it can do, the margin leaves close calls open, and the summary gives the number of genes of each type.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from genept.core import files
from genept.core.errors import InputError
from genept.core.text import printable
from genept.data.cells import UNKNOWN
from genept.data.genes import Table

COLUMNS = ("cell_type", "gene", "source", "quote")
REQUIRED = ("cell_type", "gene", "source")  # in every row; a figure has no words to quote
MIN_SD = 0.1  # of mean log1p(counts per 10,000)
LIMIT = 2.0


@dataclass(frozen=True)
class Markers:
    """The marker genes of cell types, in the order of the table."""

    genes: dict[str, tuple[str, ...]]  # of each type, under approved symbols
    renamed: dict[str, str]  # symbols of the table that HGNC has since replaced
    unknown: tuple[str, ...]  # symbols that HGNC does not know, or that mean several genes; they stay as they are


def read(path: Path, table: Table) -> Markers:
    """Read a marker table: tab-separated, quoted as in CSV, with a header that has at least `COLUMNS`.

    Empty lines are skipped. A gene that two sources name for one type counts once. `InputError` if there is no table, a
    column is missing, or a row has no type, gene or source.
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
        with files.require_file(path).open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            header = reader.fieldnames or []
            if missing := [name for name in COLUMNS if name not in header]:
                raise InputError(f"{path}: no column {', '.join(missing)}; a marker table has {', '.join(COLUMNS)}")
            if len(set(header)) < len(header):
                raise InputError(f"{path}: two columns have one title; a marker table has {', '.join(COLUMNS)}")
            for cells in reader:
                where = f"{path}: line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise InputError(f"{where} does not have the {len(header)} columns of the header")
                if not "".join(cells.values()).strip():
                    continue
                row = {name: printable(cells[name].strip()) for name in REQUIRED}
                if empty := [name for name, value in row.items() if not value]:
                    raise InputError(f"{where} has no {empty[0]}; every marker needs its cell type, gene and source")
                if row["cell_type"] == UNKNOWN:
                    raise InputError(f"{where}: {UNKNOWN} is the name of clusters without a type; choose another")
                checked.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not readable as tab-separated text ({error})") from None
    return checked


class Call(NamedTuple):
    """A cluster's type, or ``Unknown``; the `best` type, the `runner_up` if there is one, and their scores."""

    cell_type: str
    best: str
    score: float
    runner_up: str
    runner_up_score: float | None
    margin: float


def by_cluster(x: csr_matrix, clusters: np.ndarray, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each gene in each cluster and the share of the cluster's cells that express it.

    From log-normalised expression, shape (n_cells, n_genes), and each cell's cluster from 0; two arrays of shape
    (n_clusters, n_genes), float64.
    """
    n_cells = len(clusters)
    members = csr_matrix((np.ones(n_cells), (clusters, np.arange(n_cells))), shape=(n_clusters, n_cells))
    sizes = np.bincount(clusters, minlength=n_clusters)[:, np.newaxis]
    return (members @ x.astype(np.float64)).toarray() / sizes, (members @ (x != 0).astype(np.float64)).toarray() / sizes


def standardise(means: np.ndarray) -> np.ndarray:
    """Return the limited z of each gene (columns) over clusters (rows), shape as `means`."""
    centred = means - means.mean(axis=0)
    return np.clip(centred / np.maximum(means.std(axis=0), MIN_SD), -LIMIT, LIMIT)


def score_types(z: np.ndarray, symbols: Sequence[str], types: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return the score of every cluster for each type that has a gene among `symbols`, the columns of `z`."""
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    by_type = {name: [columns[gene] for gene in genes if gene in columns] for name, genes in types.items()}
    return {name: z[:, chosen].mean(axis=1) for name, chosen in by_type.items() if chosen}


def call_type(scores: dict[str, float], min_margin: float) -> Call:
    """Choose the type of one cluster; of equal scores the earlier type is first.

    If only one type can be scored, it must exceed 0, the score of an average cluster, by the margin.
    """
    best, *others = sorted(scores, key=lambda name: -scores[name])  # stable
    runner_up = others[0] if others else ""
    margin = scores[best] - scores.get(runner_up, 0.0)
    cell_type = best if scores[best] > 0 and margin >= min_margin else UNKNOWN
    return Call(cell_type, best, scores[best], runner_up, scores.get(runner_up), margin)

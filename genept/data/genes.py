"""Gene symbols, harmonised through the HGNC table: every dataset then calls a gene by the same name.

Symbols change, and datasets keep those of their day (IL8 is now CXCL8). A name is looked up as an Ensembl gene id,
then as an approved symbol, then as a previous one, then as an alias; one that HGNC does not know, with dashes in the
place of its dots (R writes HLA-DRA as HLA.DRA). Of a name that has an Ensembl gene id in it (TSPAN6_ENSG00000000003)
both parts are used. A number is no name, though HGNC has three as aliases. A name stays as it is

- if HGNC does not know it (`unknown`);
- if it is a previous symbol, or else an alias, of several genes (`ambiguous`): better no gene than the wrong one;
- if the gene it means is there under a better name already (`collision`): Ensembl id or approved symbol before previous
  symbol before alias, then the larger total, then the first.

Columns are never added up here: two columns of one gene may be two measurements. A column in a `collision` keeps the
Ensembl id that the dataset gives it, by which Geneformer's engine adds it to the other, as upstream does. A column is
dropped, and listed, if it repeats the name and meaning of one with a larger total (the first, if equal), or if it would
have to stay under a name that is another column's, an approved symbol, or (where Ensembl ids contradict symbols) a name
of another gene.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genept.core.errors import InputError
from genept.core.text import listed, shorten
from genept.data.hgnc import Gene

ENSEMBL_ID_WITH_VERSION = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_PAR_Y)?")
AROUND = r"[\s_|:;,.()\[\]-]+"  # between a symbol and an Ensembl id in one name
WITH_SYMBOL = re.compile(rf"(?:(.+?){AROUND})?({ENSEMBL_ID_WITH_VERSION.pattern})(?:{AROUND}(.*))?")
MONTH = "jan|feb|mar|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
DATE = re.compile(
    rf"\d{{1,4}}[-./ ]+(?:{MONTH})[a-z]*(?:[-./ ]+\d{{2,4}})?|(?:{MONTH})[a-z]*[-./ ]+\d{{1,4}}"
    r"|\d{4}[-/]\d\d?[-/]\d\d?.*|\d\d?[-/.]\d\d?[-/.]\d{2,4}",
    re.IGNORECASE,
)
DAYS = range(36_000, 60_000)  # numbers of Excel's days, from 1998 to 2064
OTHER_SPECIES = re.compile(r"ENS[A-Z]{3,4}G\d{11}")  # ENSMUSG... is mouse, ENSRNOG... rat


class Match(NamedTuple):
    """What a name means: the gene, if it is one, and by what it was found."""

    gene: Gene | None
    how: str


KNOWN = ("ensembl", "approved", "previous", "alias")  # how HGNC knows a name
COLLISION = "collision"
RANKS = {"ensembl": 0, "approved": 0, "previous": 1, "alias": 2, "ambiguous": 3, "unknown": 3}


class Table:
    """The HGNC table with its four ways to find a gene."""

    def __init__(self, genes: Iterable[Gene]) -> None:
        self.ensembl: dict[str, Gene] = {}
        self.approved: dict[str, Gene] = {}
        self.previous: dict[str, list[Gene]] = {}
        self.alias: dict[str, list[Gene]] = {}
        for gene in genes:
            self.approved[gene.symbol] = gene
            if gene.ensembl_id:
                self.ensembl.setdefault(gene.ensembl_id, gene)
            for found, symbols in ((self.previous, gene.previous), (self.alias, gene.aliases)):
                for symbol in set(symbols):
                    if not symbol.isdecimal():  # row numbers are no genes
                        found.setdefault(symbol, []).append(gene)

    def find(self, name: str, ensembl_id: str = "") -> Match:
        """Look up a name, which may itself be an Ensembl id; an Ensembl id that HGNC knows decides."""
        if gene := self.ensembl.get(ensembl_id) or self.ensembl.get(name):
            return Match(gene, "ensembl")
        if gene := self.approved.get(name):
            return Match(gene, "approved")
        for how, symbols in (("previous", self.previous), ("alias", self.alias)):
            if genes := symbols.get(name):
                return Match(genes[0], how) if len(genes) == 1 else Match(None, "ambiguous")
        return Match(None, "unknown")


@dataclass(frozen=True)
class Harmonised:
    """The genes of a dataset under their approved symbols; all but `dropped` are aligned."""

    keep: np.ndarray  # the columns that are kept, ascending
    symbols: list[str]  # approved ones, or the names as they were; no two equal
    ensembl_ids: list[str]  # without version, empty where unknown; several columns may have one, see `collision`
    original: list[str]  # the names in the dataset
    how: list[str]  # a key of `RANKS`: by what the name was found, or why not; or `collision`
    dropped: list[str]  # the names of columns that repeat another, in the order of the dataset
    notes: tuple[str, ...] = ()  # what a user should know of the names


def harmonise(
    names: Sequence[str],
    totals: Sequence[float] | np.ndarray,
    table: Table,
    ensembl_ids: Sequence[str] | None = None,
    least_known: float = 0.0,
) -> Harmonised:
    """Give the columns of a dataset approved symbols, by the rules at the top of this file.

    Of each column: its gene symbol or Ensembl gene id (a version is ignored), its sum over the cells and, where the
    dataset has them beside the symbols, its Ensembl gene id. `InputError` if the names are those of another species, or
    a share below `least_known` of them, or none, is known.
    """
    names = [name.strip() for name in names]
    labels, in_names = (list(texts) for texts in zip(*map(split, names), strict=True)) if names else ([], [])
    ids = in_names if ensembl_ids is None else [unversioned(text) for text in ensembl_ids]
    ids = [found or other for found, other in zip(ids, in_names, strict=True)]
    labels = [without_dots(label, table) for label in labels]
    matches = [table.find(label, ensembl_id) for label, ensembl_id in zip(labels, ids, strict=True)]
    check_species(names, matches, table)
    notes = check_known(names, matches, least_known)

    order = sorted(range(len(names)), key=lambda column: (RANKS[matches[column].how], -totals[column], column))
    winners: dict[str, int] = {}  # gene symbol -> column
    stays: dict[str, int] = {}  # name that stays as it is -> column
    seen: set[tuple[str, str | None]] = set()
    dropped = []
    for column in order:
        gene = matches[column].gene
        meaning = (labels[column], gene.symbol if gene else None)
        if meaning in seen:
            dropped.append(column)
            continue
        seen.add(meaning)
        if gene and gene.symbol not in winners:
            winners[gene.symbol] = column
        elif labels[column] in stays or means_more(labels[column], gene, table):
            dropped.append(column)
        else:
            stays[labels[column]] = column

    by_column = {column: symbol for symbol, column in [*winners.items(), *stays.items()]}
    keep = sorted(by_column)
    for column in stays.values():
        if matches[column].gene:
            matches[column] = Match(None, COLLISION)
    return Harmonised(
        keep=np.array(keep, dtype=np.intp),
        symbols=[by_column[column] for column in keep],
        ensembl_ids=[gene.ensembl_id or ids[c] if (gene := matches[c].gene) else ids[c] for c in keep],
        original=[names[column] for column in keep],
        how=[matches[column].how for column in keep],
        dropped=[names[column] for column in sorted(dropped)],
        notes=tuple(notes),
    )


def under_approved_symbols(path: Path, names: list[str], table: Table) -> Harmonised:
    """Harmonise the names of a file by the rules for datasets.

    Of two equally good names of a gene, the first in the file wins. `InputError` if HGNC knows none of them, or they
    are another species'.
    """
    names = [" ".join(name.split()) for name in names]  # as a table of tab-separated lines needs them
    if not any(table.find(*split(name)).how in KNOWN for name in names):
        such = f" (such as {shorten(names[0])!r})" if names else ""
        raise InputError(f"{path}: HGNC knows none of its {len(names)} gene symbols{such}")
    try:
        return harmonise(names, np.ones(len(names)), table)
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None


def means_more(name: str, gene: Gene | None, table: Table) -> bool:
    """Say whether a name is more than an old name of `gene`: an approved symbol, or a name of another gene."""
    match = table.find(name)
    return match.how == "approved" or match.gene not in (None, gene)


def unversioned(text: str) -> str:
    """Return a human Ensembl gene id without version and ``_PAR_Y``; empty if the text is none."""
    match = ENSEMBL_ID_WITH_VERSION.fullmatch(text.strip())
    return match[1] if match else ""


def split(name: str) -> tuple[str, str]:
    """Return the symbol and the human Ensembl gene id of a name that has one of them or both, an empty id for none.

    Of an id alone the symbol is the id.
    """
    if ensembl_id := unversioned(name):
        return ensembl_id, ensembl_id
    match = WITH_SYMBOL.fullmatch(name)
    if match is None or (match[1] and match[4]):
        return name, ""
    return (match[1] or match[4] or match[3]).strip(), match[3]


def without_dots(name: str, table: Table) -> str:
    """Return the name that R made of a name with dashes, if HGNC knows that only."""
    dashed = name.replace(".", "-")
    return dashed if dashed != name and table.find(name).how == "unknown" and table.find(dashed).gene else name


def check_known(names: list[str], matches: list[Match], least: float) -> list[str]:
    """Refuse names that HGNC hardly knows, which are no genes; note if it knows less than half, and Excel's dates."""
    unknown = [name for name, match in zip(names, matches, strict=True) if match.how == "unknown"]
    n_known = sum(match.how in KNOWN for match in matches)
    such = ", ".join(map(repr, map(shorten, unknown[:3])))
    if not n_known or n_known < least * len(names):
        what = f"none of the {len(names)} gene names (such as {such}) is known to HGNC"
        if n_known:
            what = (
                f"only {n_known} of the {len(names)} gene names are known to HGNC (not {such}), below the "
                f"share of {least:g} that label.least_known_genes in params.yaml asks for"
            )
        are_rows = 2 * sum(name.isdecimal() for name in unknown) > len(names)
        raise InputError(
            f"{what}{'; numbers are those of rows' if are_rows else ''}; if another column of var has symbols or "
            "Ensembl ids, name it as `symbol:` or `ensembl:` in its settings"
        )
    notes = []
    if 2 * n_known < len(names):
        notes.append(
            f"genes: {n_known} of {len(names)} names are known to HGNC (not {such}); if some rows of var are no "
            "genes, select the others by `keep_var`"
        )
    n_days = [name for name in unknown if name.isdecimal() and int(name) in DAYS]
    dates = [name for name in unknown if DATE.fullmatch(name)]
    dates += n_days if 20 * len(n_days) < len(names) else []
    if dates:
        notes.append(
            f"genes: {len(dates)} names look like dates, as Excel makes them of MARCH1 or SEPT2 ({listed(dates)}); "
            "take the names from the original table"
        )
    return notes


def check_species(names: list[str], matches: list[Match], table: Table) -> None:
    """Refuse genes of another species."""
    others = [name for name in names if OTHER_SPECIES.match(name)]
    if len(others) * 2 > len(names):
        raise InputError(
            f"the genes are not human, but have Ensembl ids such as {others[0]} (ENSMUSG is mouse); "
            "replace them by their human orthologues first"
        )
    unknown = [name for name, match in zip(names, matches, strict=True) if match.how == "unknown"]
    capitals = [name for name in unknown if table.find(name.upper()).how in ("approved", "previous")]
    if len(capitals) > len(names) - len(unknown):
        raise InputError(
            f"the genes look like mouse genes: {len(capitals)} of {len(names)} are known only in capitals "
            f"(such as {capitals[0]}, human {capitals[0].upper()}); replace them by their human orthologues first"
        )

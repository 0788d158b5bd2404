"""A raw dataset, all cells as published: its annotations in the common schema, its matrix checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genept.core.errors import InputError, nearest
from genept.core.text import listed, printable, shorten
from genept.data import genes
from genept.data.cells import ANNOTATIONS, PART, UNKNOWN
from genept.datasets.config import DatasetConfig, comparable
from genept.datasets.matrix import Matrix

NO_SYMBOL = re.compile(
    r"(?:nan|na|n/a|none|null|<na>|-|\.)?(?:-\d+)?", re.IGNORECASE
)  # -1: as repeated names are numbered
NO_INDEX = re.compile(r"(?:nan(?:-\d+)?)?")  # a gene was once called NA
LARGEST_COUNT = 2**24  # up to here float32 holds every whole number
LARGEST_LOGARITHM = 50.0  # no logarithm of an expression value comes near: log1p(1e6) is 13.8


@dataclass(frozen=True)
class RawDataset:
    """All cells of a dataset as they were published."""

    path: Path  # the file, or the folder of several, for errors
    x: Matrix  # shape (n_cells, n_genes); without rows of var that are no genes
    obs: pd.DataFrame  # the annotations that columns hold, as text, missing ones None; of reference and query also part
    var: pd.DataFrame  # the genes' own table; of reference and query that of the reference
    content: str  # what x holds: counts or lognorm
    notes: list[str]  # what a user should know, one sentence each

    def gene_names(self, config: DatasetConfig) -> list[str]:
        """Return the genes' names: the index of ``var``, or the column that the config calls ``symbol``.

        A gene without a symbol there has its name in the index and, without one there either, its place.
        """
        return self.symbols(config)[0]

    def symbols(self, config: DatasetConfig) -> tuple[list[str], list[str]]:
        """Return `gene_names`, and sentences on those that are not from where the config says."""
        index = [
            f"unnamed {i + 1}" if is_missing(name, NO_INDEX) else text(name) for i, name in enumerate(self.var.index)
        ]
        named, where = index, "the index"
        if config.symbol is not None:
            own = column(self.var, config.symbol, self.path, "symbol").astype(object)
            named = ["" if is_missing(name, NO_SYMBOL) else text(name) for name in own]
            where = f"var[{config.symbol!r}]"
        names = [name or other for name, other in zip(named, index, strict=True)]
        n_index, n_unnamed = named.count(""), sum(name.startswith("unnamed ") for name in names)
        counted = (
            (n_index, f"have no symbol in {where} and their name in the index"),
            (n_unnamed, "have no name at all"),
        )
        return names, [f"genes: {n} of {len(names)} {what}" for n, what in counted if n]

    def ensembl_ids(self, config: DatasetConfig) -> list[str] | None:
        """Return the genes' ids: the column that the config calls ``ensembl``, else the index beside ``symbol``."""
        if config.ensembl is not None:
            return [str(name) for name in column(self.var, config.ensembl, self.path, "ensembl")]
        return None if config.symbol is None else [str(name) for name in self.var.index]

    def harmonise(self, config: DatasetConfig, table: genes.Table, least_known: float = 0.0) -> genes.Harmonised:
        """Give the genes approved symbols, by the columns that the config names; see `genept.data.genes`."""
        names, notes = self.symbols(config)
        try:
            found = genes.harmonise(names, self.x.survey.gene_totals, table, self.ensembl_ids(config), least_known)
        except InputError as error:
            raise InputError(f"{self.path}: {error.message}{self.better_column(table)}") from None
        return dataclasses.replace(found, notes=(*notes, *found.notes))

    def better_column(self, table: genes.Table) -> str:
        """Name the column of ``var`` whose values HGNC knows best, if it knows more than half of them."""
        shares = {}
        for name in ("index", *map(str, self.var.columns)):
            values = {str(value).strip() for value in column(self.var, name, self.path, "symbol")[:1000]}
            shares[name] = sum(table.find(*genes.split(value)).gene is not None for value in values) / max(
                1, len(values)
            )
        best = max(shares, key=shares.__getitem__)
        return f" (here {best!r})" if shares[best] > 0.5 else ""


def is_missing(name: Any, pattern: re.Pattern[str]) -> bool:
    """Whether a name in ``var`` is none: NaN, None, or a text that means it."""
    return bool(pd.isna(name)) or pattern.fullmatch(str(name).strip()) is not None


def text(name: object) -> str:
    """Return the name of a gene as text."""
    return printable(str(name).strip())


def column(table: pd.DataFrame, name: str, path: Path, key: str) -> pd.Series:
    """Return a column of ``obs`` (for `key` ``obs``) or ``var``, or say which ones there are.

    ``index``, or its own name, is the index where no column is called so.
    """
    if name not in table.columns and name in ("index", table.index.name):
        return table.index.to_series()
    if name not in table.columns:
        known = [str(title) for title in table.columns]
        raise InputError(
            f"{path}: {'obs' if key == 'obs' else 'var'} has no column {name!r}, which `{key}` in the dataset's file "
            f"names{nearest(name, known)}; it has {', '.join(known) or 'no columns'}"
        )
    return table[name]


def check_values(matrix: Matrix, declared: str, path: Path, layers: Sequence[str] = ()) -> str:
    """Check that a matrix (cells x genes) holds what is declared, and return what it holds: ``counts`` or ``lognorm``.

    Counts are whole numbers from 0 to 2**24. Log-normalised values are not negative, have fractions and stay below 50.
    ``detect`` is either; values that are whole numbers only are counts. `layers` names the file's other matrices.
    `InputError` says what it looks like if it holds something else.
    """
    if matrix.dtype.kind not in "biuf":
        raise InputError(f"{path}: X holds {matrix.dtype}, not numbers")
    found = matrix.survey
    if found.n_damaged:
        raise InputError(
            f"{path}: X has NaN or infinite values in {found.n_damaged} of {matrix.shape[0]} cells; remove those cells "
            "or genes"
        )
    if not found.n_values:
        return "counts" if declared == "detect" else declared
    least, largest, n_fractions = found.least, found.largest, found.n_fractions
    fractions = f"{n_fractions} of its {found.n_values} non-zero values have fractions"
    advice = "the file has no other layer; give raw counts"
    if layers:
        advice = f"name the layer with counts as `layer:` in the dataset's file (it has {', '.join(layers)})"
    if least < 0:
        problem = f"negative values (down to {least:.6g}): it looks centred or scaled; {advice}"
    elif not n_fractions and declared == "lognorm":
        problem = f"whole numbers only (up to {largest:.0f}): it looks like counts; declare `x: counts`"
    elif not n_fractions and largest > LARGEST_COUNT:
        problem = f"a count of {largest:.0f}, more than 2^24: beyond that float32 is not exact"
    elif n_fractions and declared == "counts" and largest <= LARGEST_LOGARITHM:
        problem = f"fractions ({fractions}): it looks log-normalised (largest value {largest:.3g}); {advice}"
        problem += ", or declare `x: lognorm`"
    elif n_fractions and (declared == "counts" or largest > LARGEST_LOGARITHM):
        problem = f"neither counts ({fractions}) nor logarithms (up to {largest:.6g}): "
        totals = found.cell_totals[found.cell_totals > 0]
        if totals.max() <= totals.min() * 1.001:
            problem += f"it looks normalised to {np.median(totals):.0f} per cell, without logarithm; {advice}"
        else:
            problem += f"corrected or estimated counts perhaps; {advice}, or round them"
    else:
        return "lognorm" if n_fractions else "counts"
    raise InputError(f"{path}: X is declared {declared} but has {problem}")


def to_schema(obs: pd.DataFrame, columns: Mapping[Any, str], path: Path) -> pd.DataFrame:
    """Return the annotations as text in the order of the schema, indexed by ``cell_id``.

    Spaces around a label are removed, control characters are written as ``\\n``, and whole numbers that a column with
    gaps holds as 1.0 are written 1. A label is missing, `None`, if it is NaN, None or empty; which texts mean the same
    `without_missing` is told.
    """
    cell_ids = obs.index.astype(str).map(printable)
    if not cell_ids.is_unique:
        repeated = cell_ids[cell_ids.duplicated()]
        raise InputError(
            f"{path}: {len(repeated)} cells have the id of an earlier cell (such as {repeated[0]!r}); make ids "
            "unique in the file, for example obs_names = sample + '_' + barcode, or set `repeated_ids: number`"
        )
    labels = {key: as_text(column(obs, columns[key], path, "obs")) for key in ANNOTATIONS if key in columns}
    index = pd.Index(cell_ids.to_numpy(), dtype=object, name="cell_id")  # without the table that found ids unique
    return pd.DataFrame(labels, index=index)


def as_text(values: pd.Series) -> np.ndarray:
    """Return labels as text, missing ones as `None`; each distinct value is converted once."""
    codes, distinct = pd.factorize(values)
    texts = np.array([*map(label_text, distinct), None], dtype=object)  # code -1, missing: the last
    return texts[codes]


def label_text(value: object) -> str | None:
    """Return one label as text, or `None` if it is missing."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bytes):  # texts of a fixed length, as other programs write them
        value = value.decode("utf-8", "replace")
    return printable(str(value).strip()) or None


def without_missing(obs: pd.DataFrame, missing: Collection[str]) -> pd.DataFrame:
    """Return the annotations with `None` for every label whose text, in any case, is one of `missing`.

    `missing` is in lower case, as `DatasetConfig.missing` returns it. Of which file a cell is (`PART`) stays.
    """
    obs = obs.copy()
    for name in obs.columns.drop(PART, errors="ignore"):
        different = obs[name].drop_duplicates()  # first: `dropna` makes a table of all ids
        found = [text for text in different.dropna() if comparable(text) in missing]
        obs[name] = obs[name].where(obs[name].notna() & ~obs[name].isin(found), None)
    return obs


def missing_texts(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count what stood in place of the labels that are missing `after`, empty ones as "", the most frequent first.

    `before` has the labels of the same cells as they were read; an annotation that it lacks was derived.
    """
    counts = {}
    for name in after.columns.drop(PART, errors="ignore"):
        texts = before[name].fillna("") if name in before else pd.Series("", index=after.index)
        if len(texts := texts[after[name].isna()]):
            tally = texts.value_counts().sort_index().sort_values(ascending=False, kind="stable")
            counts[str(name)] = {str(text): int(number) for text, number in tally.items()}
    return counts


def check_scorable(obs: pd.DataFrame, dataset: str, is_annotated: bool) -> list[str]:
    """Check that something can be scored on the evaluated cells; note which annotations have one label only."""
    single = [str(key) for key, labels in obs.items() if labels[labels != UNKNOWN].nunique() < 2]
    if "cell_type" in single or len(single) == obs.shape[1]:
        key = "cell_type" if "cell_type" in single else single[0]
        advice = f"correct its column under `obs` in data/{dataset}.yaml"
        if is_annotated and key == "cell_type":
            advice = (
                f"see data/{dataset}/annotation/clusters.csv and plots/annotation/{dataset}, then correct the marker "
                f"table or annotation.min_margin in data/{dataset}.yaml"
            )
        labels = listed(map(repr, map(shorten, sorted(obs[key].unique()))))
        raise InputError(
            f"{dataset}: {key} has only {labels} in the evaluated cells, so nothing can be scored; {advice}"
        )
    n_labels = {key: "no label" if (obs[key] == UNKNOWN).all() else "one label only" for key in single}
    return [f"{key} has {n}, so it is not scored" for key, n in n_labels.items()]

"""Annotations made from others: a patient's phenotype by a map of labels, age bins from donors' ages."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.core.text import listed, printable, shorten
from genept.data.cells import PART, QUERY
from genept.datasets.config import Derive
from genept.datasets.raw import label_text, without_missing

OLDEST = 1000.0  # years; a larger number is no age
AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(years?|yrs?|y|months?|m|weeks?|w|days?|d)?(?:[ -]old)?")
PER_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
NOT_KNOWN = ("not available", "not applicable", "unknown", "na", "n/a")  # in a column of ages, whatever else is missing


def add_derived(
    obs: pd.DataFrame, derive: Mapping[Any, Derive], path: Path, missing: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Add derived annotations to those of all cells (text, missing ones `None`); `path` is for errors.

    Texts that mean `missing` (`genept.datasets.raw.without_missing`) are no labels, neither in what is read nor in what
    is derived. A map may still name one, and so make a label of it.

    Returns the annotations with the derived ones, and for the verification record how each was made. Quantiles are
    those of the cells that are scored: of reference and query the query's. A subset is drawn later, so they do not
    depend on it. `InputError` if a label is not in the map, is no number, or a donor has two.
    """
    texts, obs, report = obs, without_missing(obs, missing), dict[str, dict[str, Any]]()
    for name, how in derive.items():
        if lacking := [key for key in (how.of, how.over) if key is not None and key not in obs]:
            raise InputError(
                f"{path}: has no {lacking[0]} to derive {name} from; correct `derive` in the dataset's file"
            )
        if how.map is not None:
            table = {printable(label.strip()): label_text(other) for label, other in how.map.items()}
            labels = texts[how.of].where(texts[how.of].isin(table), obs[how.of])
            obs[name] = map_labels(labels, table, path)
            report[name] = {"of": how.of, "map": how.map}
        else:
            ages = to_years(obs[how.of], path)
            edges = how.edges or quantile_edges(ages, obs, how, path)
            obs[name] = to_bins(ages, edges)
            of_query = " of the query" if PART in obs else ""
            report[name] = {
                "of": how.of,
                "edges": edges,
                "edges_are": f"quantiles over {how.over or 'cells'}{of_query}" if how.quantiles else "given",
                "ties": "a number equal to an edge is in the lower bin",
                "range": [float(ages.min()), float(ages.max())],
            }
    return without_missing(obs, missing), report


def map_labels(labels: pd.Series, table: dict[str, str | None], path: Path) -> pd.Series:
    """Look labels up; a label that the map lacks is an error, one of the map that no cell has is not."""
    if unknown := sorted(set(labels.drop_duplicates().dropna()) - set(table)):
        names = listed(map(repr, map(shorten, unknown)))
        raise InputError(
            f"{path}: {labels.name} has {names}, which the map under `derive` in the dataset's file lacks; add them "
            "there"
        )
    return labels.map(table).where(labels.notna(), None).astype(object)


def to_years(labels: pd.Series, path: Path) -> pd.Series:
    """Read ages: ``52``, ``52 year``, ``6 months``; in years, NaN where missing or called not available."""
    years, others = dict[str, float](), list[str]()
    for text in labels.drop_duplicates().dropna():
        match = AGE.fullmatch(text.strip().lower())
        if match and (age := float(match[1]) / PER_YEAR[(match[2] or "y")[0]]) < OLDEST:
            years[text] = age
        elif text.strip().lower() not in NOT_KNOWN:
            others.append(repr(shorten(text)))
    if others:
        raise InputError(
            f"{path}: {labels.name} has {', '.join(others[:3])}{', ...' if others[3:] else ''}, which is no age such "
            "as 52 or '52 year'; in the dataset's file, derive bins by a `map` of these labels, or leave the bins out"
        )
    ages = labels.map(years).astype(float)
    if ages.isna().all():
        raise InputError(f"{path}: {labels.name} has no age at all, so there are no bins")
    return ages


def quantile_edges(ages: pd.Series, obs: pd.DataFrame, how: Derive, path: Path) -> list[float]:
    """Return the inner quantiles (``numpy.quantile``, linear) to four decimals, equal ones once.

    Over donors each counts once, so that those with many cells do not decide. Of reference and query only the query
    counts: classes are then of one size among the cells that are scored.
    """
    assert how.quantiles is not None
    values = (ages[obs[PART] == QUERY] if PART in obs else ages).dropna()
    if values.empty:
        raise InputError(f"{path}: {how.of} has no age in the query, so there are no bins")
    if how.over is not None:
        by_donor = values.groupby(obs[how.over][values.index])
        n_ages = by_donor.nunique()
        if (n_ages > 1).any():
            raise InputError(
                f"{path}: {how.over} {n_ages.index[n_ages > 1][0]!r} has several values of {how.of}; leave out `over` "
                "in the dataset's file to count each cell for itself"
            )
        values = by_donor.first()
        if values.empty:
            raise InputError(f"{path}: no cell with {how.of} has {how.over}, so there are no bins")
    inner = np.arange(1, how.quantiles) / how.quantiles
    return np.unique(np.quantile(values, inner).round(4)).tolist()


def to_bins(ages: pd.Series, edges: list[float]) -> pd.Series:
    """Return each number's bin as text, such as ``<=40``, ``40 to 60`` (above 40, at most 60) and ``>60``."""
    texts = [f"{edge:.10g}" for edge in edges]
    names = [f"<={texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f">{texts[-1]}"]
    bins = pd.cut(ages, [-np.inf, *edges, np.inf], labels=names)
    return bins.astype(object).where(ages.notna(), None)

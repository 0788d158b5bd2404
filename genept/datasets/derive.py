"""Annotations made from others: a patient's phenotype by a table in ``params.yaml``, age bins from donors' ages.

In the entry of a data set::

    derive:
      phenotype:
        of: patient
        map:
          affected_1: Ascending only
          control_1: Control
      age_bin:
        of: age
        quantiles: 4          # or edges: [40, 60]
        over: patient         # each donor counts once; left out: each cell
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from genept.core.errors import InputError

AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:(years?|yrs?|y)|(months?|m)|(weeks?|w)|(days?|d))?(?:[ -]old)?", re.IGNORECASE)
PER_YEAR = (1.0, 12.0, 365.25 / 7, 365.25)  # years, months, weeks, days
NOT_KNOWN = ("not available", "not applicable", "unknown", "na", "n/a")


@dataclass(frozen=True)
class Mapped:
    """An annotation looked up in a table: every label of `of` has one of its own."""

    of: str
    table: dict[str, str]


@dataclass(frozen=True)
class Binned:
    """Numbers in bins: at given `edges`, or at `quantiles` of them over the labels of annotation `over`."""

    of: str
    edges: tuple[float, ...] = ()
    quantiles: int = 0
    over: str | None = None


Derivation = Mapped | Binned


def add(
    labels: pd.DataFrame, derivations: dict[str, Derivation], where: str
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Add derived annotations to the labels; missing ones stay missing.

    Parameters
    ----------
    labels
        The annotations of all cells as text, missing ones `None`.
    where
        The file they are from, for errors.

    Returns
    -------
    The labels with the derived ones, and for the verification record how each was made.

    Raises
    ------
    InputError
        If a label is not in the table, is no number, or a donor has two.
    """
    labels, report = labels.copy(), dict[str, dict[str, Any]]()
    for annotation, derivation in derivations.items():
        needed = (derivation.of, derivation.over) if isinstance(derivation, Binned) else (derivation.of,)
        if lacking := [name for name in needed if name is not None and name not in labels]:
            raise InputError(f"{where}: has no {lacking[0]} to derive {annotation} from; correct derive in params.yaml")
        source = labels[derivation.of]
        if isinstance(derivation, Mapped):
            labels[annotation] = mapped(source, derivation, where)
            report[annotation] = {"of": derivation.of, "map": derivation.table}
        else:
            ages = years(source, where)
            donors = None if derivation.over is None else labels[derivation.over]
            edges = np.array(derivation.edges) if derivation.edges else quantile_edges(ages, donors, derivation, where)
            labels[annotation] = binned(ages, edges)
            report[annotation] = {
                "of": derivation.of,
                "edges": edges.tolist(),
                "edges_are": f"quantiles over {derivation.over or 'cells'}" if derivation.quantiles else "given",
                "ties": "a number equal to an edge is in the lower bin",
                "range": [float(ages.min()), float(ages.max())],
            }
    return labels, report


def mapped(source: pd.Series, derivation: Mapped, where: str) -> pd.Series:
    """Look labels up; a label that the table lacks is an error, one of the table that no cell has is not."""
    unknown = sorted(set(source.dropna()) - set(derivation.table))
    if unknown:
        raise InputError(
            f"{where}: {derivation.of} has {', '.join(map(repr, unknown[:5]))}, which the table in params.yaml under "
            "derive lacks; add them there"
        )
    found = source.map(derivation.table)
    return found.where(source.notna(), None).astype(object)


def years(source: pd.Series, where: str) -> pd.Series:
    """Read ages: ``52``, ``52 year``, ``6 months``; in years, NaN where missing or said to be not available.

    Raises
    ------
    InputError
        If a text is neither.
    """
    read: dict[str, float] = {}
    for text in source.dropna().unique():
        match = AGE.fullmatch(text.strip())
        if text.strip().lower() in NOT_KNOWN:
            read[text] = np.nan
        elif match:
            unit = next((i for i, name in enumerate(match.groups()[1:]) if name), 0)
            read[text] = float(match[1]) / PER_YEAR[unit]
        else:
            raise InputError(f"{where}: {source.name} has {text!r}, which is no age; expected such as 52 or '52 year'")
    ages = source.map(read).astype(float)
    if ages.isna().all():
        raise InputError(f"{where}: {source.name} has no age at all, so there are no bins")
    return ages


def quantile_edges(ages: pd.Series, donors: pd.Series | None, derivation: Binned, where: str) -> np.ndarray:
    """Return the inner quantiles (``numpy.quantile``, linear) to four decimals, equal ones once.

    Over donors each counts once, so that those with many cells do not decide.
    """
    values = ages.dropna()
    if donors is not None:
        by_donor = values.groupby(donors[values.index])
        several = by_donor.nunique()
        if (several > 1).any():
            raise InputError(
                f"{where}: {derivation.over} {several.index[several > 1][0]!r} has several values of {derivation.of}; "
                "leave out `over` in params.yaml to take each cell for itself"
            )
        values = by_donor.first()
    inner = np.arange(1, derivation.quantiles) / derivation.quantiles
    return np.unique(np.quantile(values.to_numpy(), inner).round(4))


def binned(ages: pd.Series, edges: np.ndarray) -> pd.Series:
    """Return each number's bin as text, such as ``<=40``, ``40 to 60`` (above 40, at most 60) and ``>60``."""
    texts = [f"{edge:.10g}" for edge in edges]
    names = [f"<={texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f">{texts[-1]}"]
    bins = np.searchsorted(edges, ages.to_numpy(), side="left")  # NaN goes last and is taken out below
    found = pd.Series([names[i] for i in np.minimum(bins, len(edges))], index=ages.index, dtype=object)
    return found.where(ages.notna(), None)

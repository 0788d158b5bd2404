"""Scoring again what is committed, to see whether every number that tables print lies in its committed range.

On the machine that made the committed scores, they come out equal. On another kind of processor the last bits of
embeddings differ; k-means and the models trained here carry that on, which their ranges are to contain.
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.core.params import AUTHORS, Params
from genept.core.readers import Reader, number, optional, parse_table
from genept.datasets import config as datasets
from genept.metrics import evaluation, trainings
from genept.metrics.results import FULL

TOLERANCE = 0.01  # of a number without a range, or with a narrower one; of models trained here that of trainings, too
LEVEL = 0.999  # of that: of some 500 numbers of such models, one in twenty would lie outside 95 %
NAMED = 10  # scores that the message names
KEY = ["dataset", "model", "protocol", "task", "annotation", "split", "metric"]
COUNTS = ["n_cells", "n_classes", "n_donors"]
EXACT = ("embedding", "labels")  # tasks whose values do not depend on the processor


def check(names: Sequence[str], params: Params) -> None:
    """Score all models of some datasets, without the cache, and compare with the last commit's full tables.

    `InputError` if a number lies outside its committed range, a count changed, a number appeared or vanished, or
    nothing is committed.
    """
    before = pd.concat([committed(name) for name in names])
    after = pd.concat([table for name in names for table in score_again(name, params)])
    pairs = before[["dataset", "model"]].drop_duplicates().itertuples(index=False)
    margins = {
        (dataset, model, *score): margin
        for dataset, model in pairs
        for score, margin in trainings.spread(model, dataset, params, level=LEVEL).items()
    }
    compared = compare(before, after, margins)
    outside = compared[compared["excess"] > 0]
    largest = compared["excess"].replace(np.inf, np.nan).max()
    largest = 0.0 if np.isnan(largest) else largest
    click.echo(f"{len(compared)} scores computed again: {len(outside)} outside their ranges, by up to {largest:.4f}")
    if len(outside):
        rest = f"; and {len(outside) - NAMED} more" if len(outside) > NAMED else ""
        raise InputError(f"not the last commit's scores: {'; '.join(outside['text'].head(NAMED))}{rest}")


def score_again(dataset: str, params: Params) -> list[pd.DataFrame]:
    """Return the full tables of a dataset, as `stages.evaluate` writes them, from its embeddings and no cache."""
    scored = evaluation.evaluate_dataset(dataset, params, cache=None, compare=False).results
    tables = [result.table(dataset, model) for model, result in scored.items()]
    if datasets.read(dataset).paper:
        by_authors = evaluation.evaluate_dataset(dataset, params.by(AUTHORS), cache=None, compare=False).results
        tables += [result.table(dataset, model, AUTHORS) for model, result in by_authors.items()]
    return tables


def committed(dataset: str) -> pd.DataFrame:
    """Return the full tables of a dataset in the last commit."""
    folder = f"{FULL.as_posix()}/{dataset}/"
    listing = subprocess.run(["git", "ls-tree", "--name-only", "HEAD", folder], capture_output=True, text=True)
    paths = [Path(name).as_posix() for name in listing.stdout.splitlines()]
    if not paths:
        raise InputError(f"{folder}: the last commit has no scores to compare with")
    texts = [
        subprocess.run(["git", "show", f"HEAD:./{path}"], check=True, capture_output=True).stdout for path in paths
    ]
    readers: dict[str, Reader] = dict.fromkeys([*KEY, "class"], str)
    readers |= dict.fromkeys(["value", "low", "high", *COUNTS], optional(number))
    try:
        return pd.concat([pd.DataFrame(parse_table(text.decode(), readers)) for text in texts])
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{folder}: the last commit has no table of scores there ({error}); commit a sound one"
        ) from None


def compare(before: pd.DataFrame, after: pd.DataFrame, margins: Mapping[Any, float]) -> pd.DataFrame:
    """Return, for each score of either full table that is of all classes, its `excess` and a `text` that tells it.

    The excess is how far a value lies outside its committed range, or outside `TOLERANCE` of the committed value if
    that is wider, or outside the margin of another training (by dataset, model and `trainings.Score`): 0 within,
    infinite where a count changed, or a number appeared or vanished.
    """
    old, new = (prepare(table).add_suffix(suffix) for table, suffix in ((before, "_old"), (after, "_new")))
    both = old.join(new, how="outer")
    tolerance = np.where(both.index.get_level_values("task").isin(EXACT), 0, TOLERANCE)
    tolerance = np.maximum(tolerance, [margins.get((*index[:2], *index[3:]), 0) for index in both.index])
    low = both[["low_old", "value_old"]].min(axis=1).clip(upper=both["value_old"] - tolerance)
    high = both[["high_old", "value_old"]].max(axis=1).clip(lower=both["value_old"] + tolerance)
    excess = pd.concat([low - both["value_new"], both["value_new"] - high], axis=1).max(axis=1).clip(lower=0).round(4)
    counts_old, counts_new = (both[[f"{name}{suffix}" for name in COUNTS]].fillna(-1) for suffix in ("_old", "_new"))
    changed = (counts_old.to_numpy() != counts_new.to_numpy()).any(axis=1)
    excess = excess.where(both["value_old"].notna() & both["value_new"].notna() & ~changed, np.inf)
    texts = [
        describe(index, line["value_old"], bottom, top, line["value_new"])
        for (index, line), bottom, top in zip(both.iterrows(), low, high, strict=True)
    ]
    return pd.DataFrame({"excess": excess, "text": texts}).sort_values("excess", ascending=False, kind="stable")


def prepare(table: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of the rows that are of all classes, by what they are of."""
    table = table[table["class"].fillna("") == ""]
    numbers = table[["value", "low", "high", *COUNTS]].astype(float)
    numbers.index = pd.MultiIndex.from_frame(table[KEY].fillna(""))
    return numbers[~numbers.index.duplicated()]


def describe(index: object, old: float, low: float, high: float, new: float) -> str:
    """Say which score it is and what it was."""
    name = " ".join(str(part) for part in index if part) if isinstance(index, tuple) else str(index)
    if np.isnan(new):
        return f"{name} vanished"
    if np.isnan(old):
        return f"{name} appeared"
    if low <= new <= high:
        return f"{name}: another number of cells, classes or donors"
    return f"{name} {new:.4f}, was {old:.4f} ({low:.4f} to {high:.4f})"

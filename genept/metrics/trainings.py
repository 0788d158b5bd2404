"""How far the scores of a model that is trained here move when it is trained anew: the table of a committed study.

``python -m bench.trainings`` trains every such model with several seeds, each with two instruction sets of the
processor, scores all trainings and writes ``models/trainings.csv``: a line for each score, a column for each training
(``0-native``, ``0-avx2``, ``1-native``, ...). The study covers a model only with the settings that it was made with.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from genept.core.params import ENSEMBLE, Params
from genept.engines import config as models

TABLE = models.MODELS / "trainings.csv"
KEY = ["task", "annotation", "split", "metric"]
COLUMNS = ["model", "dataset", "settings", *KEY]  # the other columns are trainings
LEVEL = 0.95

Score = tuple[str, str, str, str]  # task, annotation, split, metric


class Spread(NamedTuple):
    """How far trainings are apart in one score."""

    sd: float  # standard deviation between trainings, over seeds and processors
    n_seeds: int

    @property
    def margin(self) -> float:
        """How far another training falls from this one, in at least 95 % of cases: t(n_seeds - 1) SD sqrt(2).

        The root of 2 is there because both trainings are single draws: their difference has twice the variance of one.
        Where processors differ as much as seeds do, there are more degrees of freedom, and it is nearer 98 %.
        """
        return float(stats.t.ppf((1 + LEVEL) / 2, self.n_seeds - 1) * self.sd * 2**0.5)


def spread(model: str, dataset: str, params: Params, path: Path = TABLE) -> dict[Score, Spread]:
    """Return how far the scores of a model on a dataset move with its training, by task, annotation, split and metric.

    `model` is a model of the grid or ``ensemble``. Empty for models that are not trained here, and for those that the
    study does not cover with their present settings; `trained_members` tells the two apart.
    """
    if not path.is_file() or not trained_members(model, params):
        return {}
    table = read(path)
    place = table["model"].eq(model) & table["dataset"].eq(dataset) & table["settings"].eq(settings(model, params))
    if not place.any():
        return {}
    table = table[place]
    return {
        tuple(line[KEY]): Spread(total_sd(values), len(values))
        for (_, line), values in zip(table.iterrows(), by_seed(table), strict=True)
        if np.isfinite(values).all()
    }


def widen(value: float, low: float | None, high: float | None, margin: float) -> tuple[float, float]:
    """Widen the range of a score, from `low` to `high`, by the margin of its training; None: a score without range.

    Splits and trainings are independent, so each side's distance from `value` is the root of the sum of squares.
    The result may lie beyond the bounds of the metric.
    """
    below, above = (0.0 if end is None else abs(value - end) for end in (low, high))
    return value - float(np.hypot(below, margin)), value + float(np.hypot(above, margin))


def trained_members(model: str, params: Params) -> list[str]:
    """Return the models trained here that a row is made of: the model itself, or members of the ensemble."""
    trained = [*params.grid.models.scgpt_trained, *params.grid.models.geneformer_trained]
    return [name for name in (params.grid.ensemble if model == ENSEMBLE else [model]) if name in trained]


def settings(model: str, params: Params) -> str:
    """Return a short hash of what a study covers: how a model is trained, on what, and how it embeds; not the seed.

    For the ensemble: its members, how they are combined, and the settings of those that are trained here.
    """
    parts: dict[str, Any] = {"pretrain": params.grid.pretrain}
    for name in trained_members(model, params):
        parts[name] = models.read(name).model_dump(mode="json", include={"engine", "pretrain", "embed"})
        del parts[name]["pretrain"]["seed"]
    if model == ENSEMBLE:
        parts |= {"members": params.grid.ensemble, "how": [params.evaluate.ensemble, params.evaluate.vote_tie]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def read(path: Path = TABLE) -> pd.DataFrame:
    """Read the table of the study; a training that gave no number, or that a model does not have, is NaN."""
    return pd.read_csv(path, dtype=dict.fromkeys(COLUMNS, str)).fillna(dict.fromkeys(COLUMNS, ""))


def by_seed(table: pd.DataFrame) -> np.ndarray:
    """Return the values of one model's trainings, shape (n_lines, n_seeds, n_processors); column names say which."""
    names = [name.rsplit("-", 1) for name in table.dropna(axis=1, how="all").columns if name not in COLUMNS]
    seeds, processors = (list(dict.fromkeys(part)) for part in zip(*names, strict=True))
    columns = [f"{seed}-{processor}" for seed in seeds for processor in processors]
    return table[columns].to_numpy(dtype=float).reshape(len(table), len(seeds), len(processors))


def total_sd(values: np.ndarray) -> float:
    """Estimate the standard deviation of one training, shape (n_seeds, n_processors), over seeds and processors.

    A one-way analysis of variance: the mean square within seeds estimates the processors' variance (with two, half the
    squared difference); the mean square between seeds less that one, over the number of processors, the seeds'
    variance, at least 0. The sum is what two trainings with other seeds on other processors differ by (Searle, Casella
    and McCulloch 1992, chapter 3). The plain standard deviation of all values would be too small: trainings with one
    seed are alike.
    """
    of_processors, of_seeds = variances(values)
    return float((of_processors + of_seeds) ** 0.5)


def variances(values: np.ndarray) -> tuple[float, float]:
    """Return the variances of processors and of seeds, as `total_sd` explains."""
    n_processors = values.shape[1]
    if n_processors == 1:
        return 0.0, float(values.var(ddof=1))
    within = float(values.var(axis=1, ddof=1).mean())
    between = n_processors * float(values.mean(axis=1).var(ddof=1))
    return within, max(0.0, (between - within) / n_processors)

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
from genept.core.readers import damaged, number, optional, read_table
from genept.engines import config as models
from genept.metrics.rows import Spread

TABLE = models.MODELS / "trainings.csv"
MAKER = "bench.trainings"
LEVEL = 0.95


class Score(NamedTuple):
    """Which score: as in the full table."""

    task: str
    annotation: str
    split: str
    metric: str


KEY = list(Score._fields)
COLUMNS = ["model", "dataset", "settings", *KEY]  # the other columns are trainings


def spread(model: str, dataset: str, params: Params, path: Path = TABLE, level: float = LEVEL) -> Spread:
    """Return how far the scores of a model on a dataset move with its training: each score's `margin` at `level`.

    `model` is a model of the grid or ``ensemble``; the numbers are by task, annotation, split and metric. Empty for
    models that are not trained here, and for those that the study does not cover with their present settings;
    `is_uncovered` tells.
    """
    table = covered(model, dataset, params, path)
    return {
        Score(*line): margin(values, level)
        for line, values in zip(table[KEY].to_numpy(), by_seed(table), strict=True)
        if np.isfinite(values).all()
    }


def is_uncovered(model: str, dataset: str, params: Params, path: Path = TABLE) -> bool:
    """Tell whether a model is trained here and the study says nothing of it, so that its ranges hold no training."""
    return bool(trained_members(model, params)) and covered(model, dataset, params, path).empty


def margin(values: np.ndarray, level: float = LEVEL) -> float:
    """Return how far another training falls from this one, in 95 % of cases: t(degrees of freedom) SD sqrt(2).

    `values` of one score have shape (n_seeds, n_processors). The root of 2 is there because both trainings are single
    draws: their difference has twice the variance of one.
    """
    sd, freedom = total_sd(values)
    return float(stats.t.ppf((1 + level) / 2, freedom) * sd * 2**0.5)


def covered(model: str, dataset: str, params: Params, path: Path = TABLE) -> pd.DataFrame:
    """Return the lines of the study that are of a model with its present settings; the table may not exist."""
    if not path.is_file() or not trained_members(model, params):
        return pd.DataFrame(columns=COLUMNS)
    table = read(path)
    return table[
        table["model"].eq(model) & table["dataset"].eq(dataset) & table["settings"].eq(settings(model, params))
    ]


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
    table = pd.DataFrame(read_table(path, dict.fromkeys(COLUMNS, str), MAKER, others=lambda name: optional(number)))
    trained = [str(name) for name in table if name not in COLUMNS]
    parts = [name.partition("-")[::2] for name in trained]
    if len(trained) != len({seed for seed, _ in parts}) * len({processor for _, processor in parts}):
        raise damaged(path, MAKER, f"not each seed with each processor: {', '.join(trained)}")
    return table.astype(dict.fromkeys(trained, float))


def by_seed(table: pd.DataFrame) -> np.ndarray:
    """Return the values of one model's trainings, shape (n_lines, n_seeds, n_processors); column names say which."""
    names = [name.rsplit("-", 1) for name in table.dropna(axis=1, how="all").columns if name not in COLUMNS]
    if not names:
        return np.empty((len(table), 0, 0))
    seeds, processors = (list(dict.fromkeys(part)) for part in zip(*names, strict=True))
    columns = [f"{seed}-{processor}" for seed in seeds for processor in processors]
    return table[columns].to_numpy(dtype=float).reshape(len(table), len(seeds), len(processors))


def total_sd(values: np.ndarray) -> tuple[float, float]:
    """Estimate the standard deviation of one training, shape (n_seeds, n_processors), over seeds and processors.

    The sum of both `variances`, with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). The plain
    standard deviation would be too small where trainings with one seed are alike; where they are not, it is right, and
    used, with n_seeds n_processors - 1 degrees of freedom.
    """
    n_seeds, n_processors = values.shape
    within, of_seeds = variances(values)
    if not of_seeds or n_processors == 1:
        return float(values.std(ddof=1)), values.size - 1
    between = (within + n_processors * of_seeds) / n_processors  # its share of the sum, and that of `within`
    rest = within * (1 - 1 / n_processors)
    freedom = (between + rest) ** 2 / (between**2 / (n_seeds - 1) + rest**2 / (n_seeds * (n_processors - 1)))
    return float((within + of_seeds) ** 0.5), float(freedom)


def variances(values: np.ndarray) -> tuple[float, float]:
    """Estimate the variances of processors and of seeds by a one-way analysis of variance, shape as `total_sd`.

    That of processors is the mean square within seeds (of two, half the squared difference); that of seeds the mean
    square between seeds less the other, over the number of processors, at least 0 (Searle, Casella and McCulloch,
    Variance Components, 1992, chapter 3).
    """
    n_processors = values.shape[1]
    if n_processors == 1:
        return 0.0, float(values.var(ddof=1))
    within = float(values.var(axis=1, ddof=1).mean())
    between = n_processors * float(values.mean(axis=1).var(ddof=1))
    return within, max(0.0, (between - within) / n_processors)

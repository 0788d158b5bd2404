"""A dataset of made-up labels, embeddings of it, and the evaluate command run on them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result

from genept.data import embeddings
from stages.evaluate import main

OUTPUTS = ("metrics/scores/blood/{}.json", "metrics/full/blood/{}.csv", "plots/confusion/blood/{}.csv")
N_CELLS = 150


def write_obs(**columns: Any) -> None:
    Path("data/blood").mkdir(parents=True, exist_ok=True)
    index = pd.Index([f"cell{number}" for number in range(N_CELLS)], name="cell_id")
    pd.DataFrame(columns, index=index).to_csv("data/blood/obs.csv")


def obs() -> pd.DataFrame:
    return pd.read_csv("data/blood/obs.csv", index_col=0, dtype=str, keep_default_na=False)


def write_embedding(model: str, matrix: np.ndarray, **notes: Any) -> None:
    embeddings.write("blood", model, matrix, [f"cell{number}" for number in range(len(matrix))], notes)


def evaluate(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="python -m stages.evaluate")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def outputs(model: str) -> list[Path]:
    return [Path(pattern.format(model)) for pattern in OUTPUTS]


def full(model: str) -> list[dict[str, str]]:
    with Path(f"metrics/full/blood/{model}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def chosen(rows: list[dict[str, str]], **where: str) -> list[dict[str, str]]:
    return [row for row in rows if all(row[key] == value for key, value in where.items())]

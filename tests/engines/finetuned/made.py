"""Cells whose labels lie in small differences, and the commands that fit a head to them and score it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result

from genept.data import embeddings
from genept.engines.finetuned import head
from stages.evaluate import main as evaluate_main
from stages.finetune import main as finetune_main

N_CELLS = 150
MLP = head.HeadChoices("mlp", width=8, epochs=5, batch_size=16, learning_rate=0.01, weight_decay=0.1)


def cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nearly parallel unit vectors, as GenePT-w gives, whose small differences tell two labels apart."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["sick", "well"], size=N_CELLS)
    matrix = 1 + 0.02 * rng.normal(size=(N_CELLS, 12))
    matrix[:, 0] += 0.05 * (labels == "sick")
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32), labels


def write(matrix: np.ndarray, **columns: Any) -> None:
    ids = [f"cell{number}" for number in range(N_CELLS)]
    Path("data/blood").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns, index=pd.Index(ids, name="cell_id")).to_csv("data/blood/obs.csv")
    embeddings.write("blood", "base", matrix, ids, {"comparable": True})


def columns() -> dict[str, np.ndarray]:
    obs = pd.read_csv("data/blood/obs.csv", index_col=0, dtype=str, keep_default_na=False)
    return {str(name): obs[name].to_numpy() for name in obs}


def base_matrix() -> np.ndarray:
    return np.load("data/blood/embeddings/base.npy")


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def tune(model: str = "tuned") -> Result:
    return run(finetune_main, "blood", model, "--from", "base")


def score(model: str = "tuned") -> Result:
    return run(evaluate_main, "finetuned", "blood", model, "--from", "base")


def full(model: str = "tuned") -> list[dict[str, str]]:
    with Path(f"metrics/full/blood/{model}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))

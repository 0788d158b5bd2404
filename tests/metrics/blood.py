"""A project in miniature: the dataset `blood` of made-up labels, embeddings of it, and both stages run on them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from click.testing import CliRunner, Result

from genept.core import params as parameters
from genept.data import embeddings
from stages import evaluate as evaluate_stage
from stages import finetune as finetune_stage
from tests import helpers

N_CELLS = 150
IDS = [f"cell{number}" for number in range(N_CELLS)]
EVALUATE = parameters.load(helpers.ROOT / "params.yaml").evaluate


def settings(name: str) -> dict[str, Any]:
    return yaml.safe_load((helpers.ROOT / name).read_text(encoding="utf-8"))


def write_settings(evaluate: dict[str, Any] | None = None, **params: Any) -> None:
    helpers.write_settings(Path(), {"evaluate": evaluate or {}, **params})


def write_grid(models: dict[str, list[str]], ensemble: list[str] | None = None) -> None:
    complete = {key: models.get(key, []) for key in parameters.Models.model_fields}
    write_settings(grid={"datasets": ["blood"], "models": complete, "pretrain": [], "ensemble": ensemble or []})


def write_obs(**columns: Any) -> None:
    Path("data/blood/labelled").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns, index=pd.Index(IDS, name="cell_id")).to_csv("data/blood/labelled/obs.csv")


def columns() -> dict[str, np.ndarray]:
    obs = pd.read_csv("data/blood/labelled/obs.csv", index_col=0, dtype=str, keep_default_na=False)
    return {str(name): obs[name].to_numpy() for name in obs}


def write_embedding(model: str, matrix: np.ndarray, **notes: Any) -> None:
    embeddings.write("blood", model, matrix, IDS, notes)


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def evaluate(*arguments: str, exit_code: int = 0) -> str:
    result = run(evaluate_stage.main, *(arguments or ["blood"]))
    assert result.exit_code == exit_code, result.output
    return result.output


def finetune(model: str = "tuned", base: str = "base") -> Result:
    return run(finetune_stage.main, "blood", model, "--from", base)


def outputs(model: str) -> list[Path]:
    folders = {"metrics/scores": "json", "metrics/full": "csv", "plots/confusion": "csv"}
    return [Path(f"{folder}/blood/{model}.{suffix}") for folder, suffix in folders.items()]


def headlines(model: str) -> dict[str, float]:
    return json.loads(outputs(model)[0].read_text())


def full(model: str, **where: str) -> list[dict[str, str]]:
    with outputs(model)[1].open(encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if all(row[key] == value for key, value in where.items())]


def confusion(model: str) -> pd.DataFrame:
    return pd.read_csv(outputs(model)[2])

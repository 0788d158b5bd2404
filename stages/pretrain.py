"""Train a small model on cells that no evaluation uses; ``python -m stages.pretrain --help`` says how."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import click

from genept.core import files
from genept.core.cli import say, stage
from genept.core.errors import InputError, ParamsError
from genept.core.params import Params
from genept.engines import config as models

CURVES = Path("plots/pretrain")


@click.command()
@click.argument("model")
@stage
def main(params: Params, model: str) -> None:
    """Train MODEL on the cells outside the evaluated subset of each dataset under grid.pretrain in params.yaml.

    `pretrain` in models/MODEL.yaml says how. Reads data/corpus/DATASET, writes models/MODEL/ (the
    checkpoint, in the layout of the method's released ones, and card.json: what the model is and is not) and
    plots/pretrain/MODEL.csv (the loss).

    \b
    Example: python -m stages.pretrain scgpt_mini
    """
    config = models.read(model)
    settings = getattr(config, "pretrain", None)
    if settings is None:
        raise ParamsError(f"{models.path(model)} has no `pretrain`; only models that say how are trained here")
    if not params.grid.pretrain:
        raise ParamsError("params.yaml: grid.pretrain names no dataset to train on")

    from genept.core.compute import resolve_device
    from genept.data import cells
    from genept.engines.network import training

    engine = importlib.import_module(f"genept.engines.{config.engine}.pretrain")
    opened = {dataset: cells.corpus_of(dataset) for dataset in params.grid.pretrain}
    few = {dataset: corpus for dataset, corpus in opened.items() if corpus.n_obs <= cells.IN_ONE_FILE}
    corpora = opened | {dataset: cells.in_memory(corpus.whole()) for dataset, corpus in few.items()}
    with files.replacing_folder(models.MODELS / model) as folder:
        trained = engine.pretrain(corpora, settings, folder, resolve_device(params.device))
        if not math.isfinite(sum(trained.losses)):
            raise InputError(f"{models.path(model)}: pretraining diverged; lower pretrain.learning_rate")
        description = (engine.__doc__ or "").strip().splitlines()[0]
        files.write_json(folder / "card.json", training.card(config.title, description, corpora, settings, trained))
        points = training.curve(trained.losses)
        with files.replacing(CURVES / f"{model}.csv") as path:
            rows = "".join(f"{step},{loss:.4f}\n" for step, loss in points)
            path.write_text(f"step,loss\n{rows}", encoding="utf-8")
    say(f"{model}: {len(trained.losses)} steps, loss {points[0][1]:.2f} -> {points[-1][1]:.2f}")


if __name__ == "__main__":
    main(prog_name="python -m stages.pretrain")

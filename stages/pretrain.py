"""Train a small model on the cells that no evaluation uses; ``python -m stages.pretrain --help`` says how."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from genept.core import files
from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError

if TYPE_CHECKING:
    from anndata import AnnData

MODELS, CURVES = Path("models"), Path("plots/pretrain")
CURVE_POINTS = 100


@click.command()
@click.argument("model")
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True)
@stage
def main(params: dict[str, Any], model: str, datasets: tuple[str, ...]) -> None:
    """Train MODEL on the cells of each DATASET that are outside its evaluated subset.

    Names are from params.yaml, where `pretrain:` in the model's entry says how. Reads data/DATASET/rest.h5ad, writes
    models/MODEL/ (the checkpoint, in the layout of the method's released ones, and card.json: what the model is and
    is not) and plots/pretrain/MODEL.csv (the loss).

    \b
    Example: python -m stages.pretrain scgpt_mini covid ovarian
    """
    entry = parameters.entry(params, "models", model)
    for dataset in datasets:
        parameters.entry(params, "datasets", dataset)
    options = entry.get("pretrain")
    if not isinstance(options, dict):
        raise ParamsError(f"params.yaml: models.{model} has no `pretrain:`; only models that say how are trained here")
    engine = load_engine(model, entry)

    from genept.core.device import resolve
    from genept.data import cells

    corpora = [cells.read(dataset, "rest") for dataset in datasets]
    check_sizes(datasets, corpora, options)
    with files.replacing_folder(MODELS / model) as folder:
        losses = engine.pretrain(corpora, options, folder, resolve(params.get("device", "auto")))
        curve = smooth(losses)
        files.write_json(folder / "card.json", card(entry, engine, datasets, corpora, curve, count_weights(folder)))
        with files.replacing(CURVES / f"{model}.csv") as path:
            rows = "".join(f"{step},{loss:.4f}\n" for step, loss in curve)
            path.write_text(f"step,loss\n{rows}", encoding="utf-8")
    click.echo(f"{model}: {len(losses)} steps, loss {curve[0][1]:.2f} -> {curve[-1][1]:.2f}")


def load_engine(model: str, entry: dict[str, Any]) -> ModuleType:
    """Return the module of this folder that the model's ``engine:`` names; `ParamsError` if there is none."""
    folder = Path(__file__).parents[1] / "genept" / "engines"
    engines = sorted(file.parent.name for file in folder.glob("*/pretrain.py"))
    name = entry.get("engine")
    if name not in engines:
        raise ParamsError(
            f"params.yaml: models.{model}: engine {name!r} cannot be trained here, {' and '.join(engines)} can"
        )
    return importlib.import_module(f"genept.engines.{name}.pretrain")


def check_sizes(datasets: tuple[str, ...], corpora: list[AnnData], options: dict[str, Any]) -> None:
    """Raise `InputError` if a dataset has fewer cells left than it gives to one step."""
    needed = max(1, options.get("batch_size", 1) // len(corpora))
    for dataset, corpus in zip(datasets, corpora, strict=True):
        if corpus.n_obs < needed:
            raise InputError(
                f"data/{dataset}/rest.h5ad: {corpus.n_obs} cells are outside the evaluated subset, pretraining needs "
                f"{needed} or more; lower datasets.{dataset}.subset.n_cells or take the dataset out of grid.pretrain"
            )


def smooth(losses: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the mean loss of each of about `CURVE_POINTS` equal stretches of steps, under the stretch's last step."""
    width = -(-len(losses) // CURVE_POINTS)
    stretches = [losses[i : i + width] for i in range(0, len(losses), width)]
    return [(stretch[-1][0], sum(loss for _, loss in stretch) / len(stretch)) for stretch in stretches]


def count_weights(folder: Path) -> int:
    """Return how many numbers the checkpoint in a folder holds, in ``best_model.pt`` or ``model.safetensors``."""
    if (folder / "best_model.pt").is_file():
        import torch

        return sum(weight.numel() for weight in torch.load(folder / "best_model.pt", weights_only=True).values())
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as weights:
        return sum(weights.get_tensor(name).size for name in weights.keys())


def card(
    entry: dict[str, Any],
    engine: ModuleType,
    datasets: tuple[str, ...],
    corpora: list[AnnData],
    curve: list[tuple[int, float]],
    n_weights: int,
) -> dict[str, Any]:
    """Describe the model for whoever finds the folder: what it is, what it saw, and what to think of its scores."""
    sizes = {dataset: corpus.n_obs for dataset, corpus in zip(datasets, corpora, strict=True)}
    return {
        "title": entry.get("title", ""),
        "description": (engine.__doc__ or "").strip().splitlines()[0],
        "limits": (
            f"A small model trained in this pipeline on {sum(sizes.values())} cells; not a released checkpoint. "
            "In-domain: other cells of the same datasets and donors as the evaluated ones, without their labels. "
            "Its scores say nothing about the released models."
        ),
        "n_weights": n_weights,
        "n_cells": sizes,
        "n_genes": len(set().union(*(corpus.var_names for corpus in corpora))),
        "steps": curve[-1][0],
        "loss_at_start": round(curve[0][1], 4),
        "loss_at_end": round(curve[-1][1], 4),
        "options": entry["pretrain"],
    }


if __name__ == "__main__":
    main(prog_name="python -m stages.pretrain")

"""Embed the cells of a dataset by a model; ``python -m stages.embed --help`` says how."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError

MODELS = Path("models")
ENGINES = Path(__file__).parents[1] / "genept" / "engines"


@click.command()
@click.argument("dataset")
@click.argument("model")
@stage
def main(params: dict[str, Any], dataset: str, model: str) -> None:
    """Embed the cells of DATASET by MODEL: one vector per cell.

    Both are names from params.yaml. Reads data/DATASET/cells.h5ad and models/MODEL/, writes
    data/DATASET/embeddings/MODEL.npy (float32, one row per cell of data/DATASET/obs.csv, in the same order) and
    MODEL.json beside it (engine, options, genes that the model does not know).

    \b
    Example: python -m stages.embed covid genept_w_minilm
    """
    parameters.entry(params, "datasets", dataset)
    options = parameters.captioned_entry(params, "models", model)
    embed = load_engine(model, options)

    from genept.data import cells, embeddings
    from genept.engines.network import checkpoints as kept
    from genept.engines.network import job as jobs

    data = cells.read(dataset)
    chosen = {key: value for key, value in options.items() if key not in ("title", "source", "paper")}
    job = jobs.Job(
        f"{dataset} x {model}",
        kept.ROOT / dataset / model,
        lambda: digest({"options": chosen, "cells": cells.ids_digest(data.obs_names), "files": sources(model)}),
    )
    started = time.perf_counter()
    try:
        with jobs.running(job):
            matrix, notes = embed(data, MODELS / model, options, params.get("device", "auto"))
    except InputError as error:
        raise type(error)(f"{model} on {dataset}: {error.message}") from None
    seconds = time.perf_counter() - started
    header = {
        "engine": options.get("engine", "own"),
        "options": chosen,
        "options_sha256": digest(options),
        "x": data.uns["x"],
    }
    embeddings.write(dataset, model, matrix, data.obs_names, {**header, **notes})
    assert job.folder is not None
    kept.remove(job.folder)
    where = f" on {notes['device']}" if notes.get("device") else ""
    line = f"{dataset} x {model}: {len(matrix)} cells, {matrix.shape[1]} dimensions, {seconds:.1f} s{where}"
    click.echo("; ".join([line, *losses(notes, n_zeros=int((~matrix.any(axis=1)).sum()))]))


def load_engine(model: str, options: dict[str, Any]) -> Callable[..., Any]:
    """Return the function ``embed`` of the model's engine, or of its own file if its entry names no engine.

    Raises
    ------
    ParamsError
        If there is no such engine.
    InputError
        If the model's own file is not there or has no function ``embed``.
    """
    name = options.get("engine")
    if name is None:
        path = MODELS / model / "embed.py"
        spec = importlib.util.spec_from_file_location(f"models_{model}", path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise InputError(f"{path}: no such file; a model without engine: in params.yaml needs it")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        path = ENGINES / name / "embed.py"
        engines = sorted(file.parent.name for file in ENGINES.glob("*/embed.py"))
        if name not in engines:
            raise ParamsError(
                f"params.yaml: models.{model}: `genept.engines` has no engine {name!r}; it has {', '.join(engines)}"
            )
        module = importlib.import_module(f"genept.engines.{name}.embed")
    if not callable(getattr(module, "embed", None)):
        raise InputError(f"{path}: no function `embed` in it")
    return module.embed


def losses(notes: dict[str, Any], n_zeros: int) -> Iterator[str]:
    """Yield what the model has not seen of the cells, as far as its engine's notes say so.

    Parameters
    ----------
    n_zeros
        Cells whose vector is all zeros.
    """
    if notes.get("n_genes_missing") is not None:
        yield f"{notes['n_genes_missing']} of {notes['n_genes']} genes unknown to the model"
    n_cut = notes.get("n_cells_truncated", notes.get("n_truncated"))
    if n_cut:
        yield f"{n_cut} cells cut at the model's {notes['max_length']} tokens"
    n_without = notes.get("n_cells_without_gene")
    if n_without:
        yield f"{n_without} cells express no gene that the model knows" + (" (zeros)" if n_zeros == n_without else "")


def digest(options: dict[str, Any]) -> str:
    """Return a hash of a mapping, such as a model's whole entry, the versions and hashes of its source included."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()


def sources(model: str) -> dict[str, str]:
    """Return the hash of every file that an embedding comes from beside the cells: the model's and this package's."""
    from genept.core import files

    code = ENGINES.parent
    paths = [*(MODELS / model).rglob("*"), *code.rglob("*.py")]
    return {str(path): files.sha256(path) for path in paths if path.is_file() and "__pycache__" not in path.parts}


if __name__ == "__main__":
    main(prog_name="python -m stages.embed")

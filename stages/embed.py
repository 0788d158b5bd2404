"""Embed the cells of a dataset by a model; ``python -m stages.embed --help`` describes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from genept.core.cli import DATASET, MODEL, say, stage
from genept.core.errors import InputError, ParamsError
from genept.core.params import Params


@click.command()
@click.argument("dataset", type=DATASET)
@click.argument("model", type=MODEL)
@stage
def main(params: Params, dataset: str, model: str) -> None:
    """Embed the cells of DATASET by MODEL: one vector per cell.

    There must be data/DATASET.yaml and models/MODEL.yaml. Reads data/DATASET/cells.h5ad and models/MODEL/ (a control:
    the folder of the first model of grid.models.genept_w). Writes data/DATASET/embeddings/MODEL.npy (float32, one row
    per cell of data/DATASET/obs.csv, in the same order; of a control such a matrix for each draw) and MODEL.json beside
    it (settings, genes that the model does not know).

    \b
    Example: python -m stages.embed covid genept_w_minilm
    """
    from genept.data import cells, embeddings
    from genept.engines import config as models
    from genept.engines import custom
    from genept.engines.network import job as jobs

    config = models.read(model)
    code = models.code(model, config)
    data = cells.read(dataset)
    settings = config.model_dump(mode="json", include={"embed"}).get("embed", {})
    ids, header = list(data.obs_names), {"engine": config.engine or "custom", "config": settings, "x": data.uns["x"]}
    embed, folder = code.embed if config.engine else partial(custom.embed, code), models.MODELS / model
    if config.engine and getattr(config, "control", None):
        if not params.grid.models.genept_w:
            raise ParamsError("params.yaml: grid.models.genept_w is empty; a control is made from its first model")
        embed, folder = partial(code.embed_control, seed=params.seed), models.MODELS / params.grid.models.genept_w[0]
    identity = partial(digest, settings, Path(str(code.__file__)), folder, cells.ids_digest(ids))
    job = jobs.Job(f"{dataset} x {model}", jobs.CHECKPOINTS / dataset / model, identity)
    started = time.perf_counter()
    try:
        with jobs.running(job):
            matrix, notes = embed(data, folder, config, params.device)
    except InputError as error:
        raise type(error)(f"{model} on {dataset}: {error.message}") from None
    seconds = time.perf_counter() - started
    embeddings.write(dataset, model, matrix, ids, {**header, **notes})
    jobs.remove_checkpoints(jobs.CHECKPOINTS / dataset / model)
    where = f" on {notes['device']}" if notes.get("device") else ""
    draws = f"{len(matrix)} draws, " if matrix.ndim == 3 else ""
    line = f"{job.name}: {len(ids)} cells, {matrix.shape[-1]} dimensions, {draws}{seconds:.1f} s{where}"
    first = matrix[0] if matrix.ndim == 3 else matrix
    say("; ".join([line, *losses(notes, n_zeros=int((~first.any(axis=1)).sum()))]))


def digest(settings: dict[str, Any], code: Path, folder: Path, cell_ids: str) -> str:
    """Return a hash of what an embedding comes from: settings, the code that runs, the model's files, the cells."""
    import hashlib
    import json

    from genept.core import files

    model_files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    hashes = {name: files.sha256(path) for name, path in model_files.items() if "__pycache__" not in path.parts}
    parts = [settings, files.code_sha256(code), hashes, cell_ids]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def losses(notes: dict[str, Any], n_zeros: int) -> Iterator[str]:
    """Yield what the model does not see of the cells, by its notes; `n_zeros` cells have a vector of zeros."""
    if notes.get("n_genes_missing") is not None and notes.get("n_genes") is not None:
        yield f"{notes['n_genes_missing']} of {notes['n_genes']} genes unknown to the model"
    n_cut = notes.get("n_cells_truncated", notes.get("n_truncated"))
    if n_cut:
        yield f"{n_cut} cells cut at the model's {notes.get('max_length', 'most')} tokens"
    n_without = notes.get("n_cells_without_gene")
    if n_without:
        yield f"{n_without} cells express no gene that the model knows" + (" (zeros)" if n_zeros == n_without else "")


if __name__ == "__main__":
    main(prog_name="python -m stages.embed")

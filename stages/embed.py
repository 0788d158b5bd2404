"""Embed the cells of a dataset by a model; ``python -m stages.embed --help`` describes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from genept.core.cli import DATASET, MODEL, say, stage
from genept.core.errors import InputError
from genept.core.params import Params


@click.command()
@click.argument("dataset", type=DATASET)
@click.argument("model", type=MODEL)
@stage
def main(params: Params, dataset: str, model: str) -> None:
    """Embed the cells of DATASET by MODEL: one vector per cell.

    There must be data/DATASET.yaml and models/MODEL.yaml. Reads data/DATASET/labelled and models/MODEL/ (a control:
    the folder of the first model of grid.models.genept_w). Writes data/DATASET/embeddings/MODEL.npy (float32, one row
    per labelled cell, in the same order; of a control such a matrix for each draw) and MODEL.json beside it (settings,
    genes that the model does not know).

    \b
    Example: python -m stages.embed covid genept_w_minilm
    """
    from genept.data import cells, embeddings
    from genept.engines import running
    from genept.engines.work import Work

    work = Work(dataset, model, params)
    data, settings = cells.of(dataset), work.config.model_dump(mode="json", include={"embed"}).get("embed", {})
    header = {"engine": work.config.engine or "custom", "config": settings, "x": data.uns["x"]}
    started = time.perf_counter()
    with embeddings.writing(dataset, model, data.n_obs, data.ids_sha256) as writer:
        try:
            notes = running.run(work, data, writer)
        except InputError as error:
            name = f"{model} on {dataset}: "
            raise type(error)(name + error.message.removeprefix(name)) from None
        writer.notes = {**header, **notes}
    seconds = time.perf_counter() - started
    where = f" on {notes['device']}" if notes.get("device") else ""
    draws = f"{writer.shape[0]} draws, " if len(writer.shape) == 3 else ""
    line = f"{dataset} x {model}: {data.n_obs} cells, {writer.shape[-1]} dimensions, {draws}{seconds:.1f} s{where}"
    say("; ".join([line, *losses(notes, writer.n_zeros)]))


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

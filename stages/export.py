"""Put embeddings into an AnnData's ``obsm``; ``python -m stages.export --help`` says how."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from genept.core.cli import DATASET, MODEL, say, stage
from genept.core.errors import ParamsError
from genept.core.params import Params
from genept.data import cells, embeddings
from genept.repository import lock


@click.command()
@click.argument("dataset", type=DATASET)
@click.argument("models", metavar="MODEL...", type=MODEL, nargs=-1, required=True)
@click.option(
    "--into",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="h5ad file with your cells, found by cell id. [default: the cells in data/DATASET/labelled]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="h5ad file to write. [default: the file of --into, rewritten]",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "nan"]),
    default="error",
    show_default=True,
    help="What to do if the file has cells that the embedding has not: stop, or give them NaN.",
)
@stage
def main(
    params: Params,
    dataset: str,
    models: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    missing: str,
) -> None:
    """Put the embeddings of DATASET by one or more MODELs into obsm["X_MODEL"] of an h5ad file.

    Everything else in the file stays as it is; an X_MODEL that is there already is replaced. Cells are matched by id,
    in any order. Of a dataset in parts, above 32,768 cells, the file gets all cells, part by part.

    \b
    Examples: python -m stages.export covid genept_w_minilm scgpt_mini --output covid.h5ad
              python -m stages.export covid scgpt_mini --into mine.h5ad --output more.h5ad --missing nan
    """
    own = cells.labelled(dataset) / "cells.h5ad"
    target = output or source
    if target is None:
        raise ParamsError("say where to write: --output FILE.h5ad, or --into FILE.h5ad to add to a file of yours")
    inside = os.path.relpath(target.resolve(), Path.cwd().resolve())
    if target.resolve() == own.resolve() or lock.is_within(inside, lock.outputs(lock.read())):
        raise ParamsError(f"{target} belongs to the pipeline and is not changed; give another --output")
    if target.suffix != ".h5ad":
        raise ParamsError(f"{target}: is written as h5ad; give an --output whose name ends in .h5ad")

    import pandas as pd

    from genept.data import export, parts

    obs = cells.read_obs(dataset)
    ids, begin = pd.Index(obs.index), None
    if source is None:
        source = own
        if (source.parent / parts.MANIFEST).exists():
            begin = partial(export.write_cells, cells.of(dataset), obs)
    matrices = {f"X_{model}": embeddings.read(dataset, model, list(ids)) for model in models}
    n_cells, n_without = export.add_to_h5ad(source, target, ids, matrices, missing == "nan", begin)
    without = f"; {n_without} of them have no embedding and got NaN" if n_without else ""
    say(f"{target}: {', '.join(matrices)} for {n_cells} cells{without}")


if __name__ == "__main__":
    main(prog_name="python -m stages.export")

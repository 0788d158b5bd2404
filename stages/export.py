"""Put embeddings into an AnnData's ``obsm``; ``python -m stages.export --help`` says how."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genept.core import files
from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError
from genept.data import cells, embeddings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@click.command()
@click.argument("dataset")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--into",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="h5ad file with your cells, found by cell id. [default: data/DATASET/cells.h5ad]",
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
    params: dict[str, Any],
    dataset: str,
    models: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    missing: str,
) -> None:
    """Put the embeddings of DATASET by one or more MODELs into obsm["X_MODEL"] of an h5ad file.

    Everything else in the file stays as it is; an X_MODEL that is there already is replaced. Cells are matched by id,
    in any order.

    \b
    Examples: python -m stages.export covid genept_w_minilm scgpt_mini --output covid.h5ad
              python -m stages.export covid scgpt_mini --into mine.h5ad --missing nan
    """
    parameters.entry(params, "datasets", dataset)
    for model in models:
        parameters.entry(params, "models", model)
    own = cells.DATA / dataset / "cells.h5ad"
    target = output or source
    if target is None:
        raise ParamsError("say where to write: --output FILE.h5ad, or --into FILE.h5ad to add to a file of yours")
    if target.resolve() == own.resolve():
        raise ParamsError(f"{own} belongs to the pipeline and is not changed; give another --output")
    source = source or own

    import pandas as pd

    ids = pd.Index(cells.read_obs(dataset).index)
    matrices = {f"X_{model}": embeddings.read(dataset, model, list(ids)) for model in models}
    n_cells, n_without = add(source, target, ids, matrices, fill=missing == "nan")
    without = f"; {n_without} of them have no embedding and got NaN" if n_without else ""
    click.echo(f"{target}: {', '.join(matrices)} for {n_cells} cells{without}")


def add(
    source: Path, target: Path, ids: pd.Index, matrices: dict[str, np.ndarray], fill: bool = False
) -> tuple[int, int]:
    """Copy an h5ad file and add matrices to its ``obsm``; neither X nor anything else of the file is read.

    Parameters
    ----------
    ids
        The cells of the matrices' rows, shape (n_embedded,).
    matrices
        By name in ``obsm``, each of shape (n_embedded, n_dimensions).
    fill
        Give NaN to cells of the file that are not among `ids`, instead of raising.

    Returns
    -------
    tuple
        Number of cells in the file, and how many of them have no embedding.

    Raises
    ------
    InputError
        If the file is not an h5ad, an id occurs twice in it, or a cell has no embedding (no cell, with `fill`).
    """
    import h5py
    import numpy as np
    from anndata.io import read_elem, write_elem

    with files.replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        try:
            file = h5py.File(temporary, "r+")
        except OSError as error:
            raise InputError(f"{source}: not a readable h5ad file ({str(error).splitlines()[0]})") from None
        with file:
            if "obs" not in file or not isinstance(file["obs"], h5py.Group):
                raise InputError(f"{source}: no table obs in it; save it with a current anndata first")
            names = read_elem(file["obs"]).index.astype(str)
            if names.has_duplicates:
                raise InputError(f"{source}: cell id {names[names.duplicated()][0]!r} occurs more than once")
            rows = ids.get_indexer(names)
            absent = rows < 0
            if absent.all() or (absent.any() and not fill):
                hint = "" if absent.all() else "; --missing nan gives such cells NaN"
                raise InputError(
                    f"{source}: {absent.sum()} of {len(names)} cells have no embedding, the first is "
                    f"{names[absent][0]!r}{hint}"
                )
            if "obsm" not in file:
                write_elem(file, "obsm", {})
            for name, matrix in matrices.items():
                aligned = np.asarray(matrix)[rows]
                aligned[absent] = np.nan
                write_elem(file["obsm"], name, aligned)
    return len(names), int(absent.sum())


if __name__ == "__main__":
    main(prog_name="python -m stages.export")

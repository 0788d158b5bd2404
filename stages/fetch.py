"""Fetch what the pipeline starts from; ``python -m stages.fetch --help`` says how."""

from __future__ import annotations

from pathlib import Path

import click

from genept.core.cli import stage
from genept.core.config import Config
from genept.core.errors import InputError, ParamsError, nearest
from genept.core.params import Params
from genept.datasets import config as datasets
from genept.downloads.config import Sources
from genept.engines import config as models

DATASETS_IN_USE = ("cache", "corpus", "downloads", "encoders", "manual", "markers", "reference", "sources")
MODELS_IN_USE = ("local", "sources")


class Reference(Config):
    """The content of ``data/reference.yaml``."""

    source: Sources


@click.command()
@click.argument("what", type=click.Choice(["check", "reference", "dataset", "model", "encoder"]))
@click.argument("name", default="")
@stage
def main(params: Params, what: str, name: str) -> None:
    """Fetch the files of NAME and check that they are the right ones.

    \b
    WHAT says where the files are named, and where they go; check fetches nothing:
      check            prints what a run of the grid will need, whether it is there, and what it costs, on one page;
      check GRID       of another grid in params.yaml; exit code 1 if something is missing
      reference        data/reference.yaml   data/reference/      tables of genes
      dataset NAME     data/NAME.yaml        data/NAME/raw/       annotated cells
      model NAME       models/NAME.yaml      models/NAME/         a model, used as it is
      encoder NAME     models/NAME.yaml      data/encoders/NAME/  what gene vectors are made with

    Every file is kept by its sha256 in a store beside DVC's cache (.dvc/downloads), so that none is downloaded twice.
    Where the settings name no sha256, that of the first download is recorded in data/hashes.lock.yaml. If anything goes
    wrong, files from an earlier run stay as they were. Before anything is downloaded, the settings of the whole grid
    are checked.

    \b
    Example: python -m stages.fetch dataset covid
    """
    from genept.downloads.fetch import fetch, fetch_with_fallback

    if what == "check":
        return check(params, name)
    if bool(name) != (what != "reference"):
        raise ParamsError(f"fetch {what}: {'takes no name' if name else 'needs the name of a dataset or model'}")
    reference = Reference.read(Path("data/reference.yaml"))
    for other in params.grid.datasets:
        read_dataset(other)
    for other in params.grid.models.names:
        read_model(other)
    if what == "reference":
        fetch("data/reference", reference.source, Path("data/reference"))
    elif what == "dataset":
        dataset = read_dataset(name)
        fallback = dataset.fallback.source if dataset.fallback else None
        fetch_with_fallback(
            f"data/{name}", dataset.source, fallback, Path("data", name, "raw"), Path("data", name, "local")
        )
    else:
        folder = Path("models", name) if what == "model" else Path("data/encoders", name)
        fetch(f"models/{name}", read_model(name).source, folder, links=Path("models/local", name))


def check(params: Params, name: str) -> None:
    """Print what a run of the grid, or of another one under `grids`, will need; `InputError` if some is missing."""
    from genept.downloads import preflight
    from genept.report import needs

    if name and name not in params.grids:
        raise ParamsError(
            f"fetch check: no grid {name!r}{nearest(name, params.grids) or '.'} Known: {', '.join(params.grids)}"
        )
    grid = params.grids[name] if name else params.grid
    sources = Reference.read(Path("data/reference.yaml")).source
    data, named = {one: read_dataset(one) for one in grid.datasets}, {one: read_model(one) for one in grid.models.names}
    plan = needs.plan_of(grid, sources, data, named, params.device)
    text, missing = preflight.page(plan, preflight.look(plan.wanted), preflight.free_bytes())
    click.echo(text)
    if missing:
        more = f" (and {len(missing) - 1} more, see above)" if missing[1:] else ""
        raise InputError(f"missing for the run: {missing[0]}{more}")


def read_dataset(name: str) -> datasets.DatasetConfig:
    """Read a dataset's settings; refuse a name whose folder is in use."""
    if name in DATASETS_IN_USE:
        raise ParamsError(f"no dataset can be called {name!r}: the folder data/{name} is in use; choose another name")
    return datasets.read(name)


def read_model(name: str) -> models.ModelConfig:
    """Read a model's settings; refuse a name whose folder is in use."""
    if name in MODELS_IN_USE:
        raise ParamsError(f"no model can be called {name!r}: the folder models/{name} is in use; choose another name")
    config: models.ModelConfig = models.read(name)
    return config


if __name__ == "__main__":
    main(prog_name="python -m stages.fetch")

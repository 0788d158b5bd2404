"""Fetch what the pipeline starts from; ``python -m stages.fetch --help`` says how."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genept.core.cli import stage
from genept.core.config import Config
from genept.core.errors import InputError, ParamsError, nearest
from genept.core.params import Grid, Params
from genept.datasets import config as datasets
from genept.downloads.config import Sources, files_of
from genept.engines import config as models

if TYPE_CHECKING:
    from genept.downloads.preflight import Plan

DATASETS_IN_USE = ("cache", "corpus", "downloads", "encoders", "manual", "markers", "reference", "sources")
MODELS_IN_USE = ("sources",)


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
        fetch_with_fallback(f"data/{name}", dataset.source, fallback, Path("data", name, "raw"))
    else:
        folder = Path("models", name) if what == "model" else Path("data/encoders", name)
        fetch(f"models/{name}", read_model(name).source, folder)


def check(params: Params, name: str) -> None:
    """Print what a run of the grid, or of another one under `grids`, will need; `InputError` if some is missing."""
    from genept.downloads import preflight

    if name and name not in params.grids:
        raise ParamsError(
            f"fetch check: no grid {name!r}{nearest(name, params.grids) or '.'} Known: {', '.join(params.grids)}"
        )
    plan = plan_of(params, params.grids[name] if name else params.grid)
    text, missing = preflight.page(plan, preflight.look(plan.wanted), preflight.free_bytes())
    click.echo(text)
    if missing:
        more = f" (and {len(missing) - 1} more, see above)" if missing[1:] else ""
        raise InputError(f"missing for the run: {missing[0]}{more}")


def plan_of(params: Params, grid: Grid) -> Plan:
    """Return what a grid asks for, by the settings of its datasets and models."""
    from genept.core import compute
    from genept.downloads.preflight import Key, Plan, Wanted
    from genept.engines.encoder.openai import OPENAI_SERVER
    from genept.engines.encoder.settings import EncoderConfig, OpenAI, host_of

    data, named = {one: read_dataset(one) for one in grid.datasets}, {one: read_model(one) for one in grid.models.names}
    wanted = [Wanted("data/reference", Reference.read(Path("data/reference.yaml")).source)]
    for one, dataset in data.items():
        wanted.append(Wanted(f"data/{one}", dataset.source, dataset.fallback.source if dataset.fallback else None))
    wanted += [Wanted(f"models/{one}", model.source) for one, model in named.items()]
    asking: dict[str, OpenAI] = {}  # models whose gene texts or cells' sentences an API reads
    for one, model in named.items():
        for part in ("vectors", "embed"):
            encoder = getattr(model, part, None)
            if isinstance(encoder, EncoderConfig) and encoder.encoder == "openai":
                asking[one] = encoder.openai or OpenAI()
    servers = {one.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_SERVER for one in asking.values()}
    try:
        is_needed = host_of(OPENAI_SERVER) in map(host_of, servers)
    except ValueError as error:
        raise ParamsError(f"OPENAI_BASE_URL: {error}") from None
    keys = [Key("OPENAI_API_KEY", f"for {', '.join(asking)}", is_needed)] if asking else []
    kinds = {kind for one in wanted for kind in kinds_of(one.sources)}
    if "huggingface" in kinds:
        keys.append(Key("HF_TOKEN", "not needed for what everyone may read", False))
    by_portal = [
        one for one, dataset in data.items() if dataset.fallback and "scp" in kinds_of(dataset.fallback.source)
    ]
    if by_portal or "scp" in kinds:
        purpose = f"only for the fallback of {', '.join(by_portal)}" if by_portal else "for the Single Cell Portal"
        keys.append(Key("SCP_TOKEN", purpose, "scp" in kinds))
    devices = compute.workers(params.device)
    return Plan(
        title=f"What a run of {len(data)} datasets and {len(named)} models will need",
        keys=keys,
        wanted=wanted,
        n_cells={one: dataset.n_cells_likely for one, dataset in data.items()},
        n_models=len(named),
        networks=[*grid.models.scgpt, *grid.models.geneformer],
        prices={one: asking[one].price for one in grid.models.genept_s if one in asking},
        gpu="" if devices == ["cpu"] else compute.describe_devices(devices),
    )


def kinds_of(sources: Sources) -> set[str]:
    """Return the kinds of places that files come from."""
    return {place.kind for file in files_of(sources).values() for place in file.places}


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

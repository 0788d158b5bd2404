"""What a grid needs before it runs: files, keys, cells and prices, by the settings of its datasets and models."""

from __future__ import annotations

import os
from collections.abc import Mapping

from genept.core import compute
from genept.core.errors import ParamsError
from genept.core.params import Grid
from genept.datasets.config import DatasetConfig
from genept.downloads.config import Sources, files_of
from genept.downloads.preflight import Key, Plan, Wanted
from genept.engines.config import ModelConfig
from genept.engines.encoder.openai import OPENAI_SERVER
from genept.engines.encoder.settings import EncoderConfig, OpenAI, host_of


def plan_of(
    grid: Grid, reference: Sources, data: Mapping[str, DatasetConfig], named: Mapping[str, ModelConfig], device: str
) -> Plan:
    """Return what a grid asks for, by the settings of its datasets (`data`) and models (`named`).

    `reference` are the sources of the gene tables, `device` is as in params.yaml. `ParamsError` if OPENAI_BASE_URL is
    no address.
    """
    wanted = [Wanted("data/reference", reference)]
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
    devices = compute.workers(device)
    return Plan(
        title=f"What a run of {len(data)} datasets and {len(named)} models will need",
        keys=keys,
        wanted=wanted,
        n_cells={one: dataset.n_cells_likely for one, dataset in data.items()},
        n_models=len(named),
        n_embeddings=sum(getattr(model, "draws", None) or 1 for model in named.values()),
        networks=[*grid.models.scgpt, *grid.models.geneformer],
        prices={one: asking[one].price for one in grid.models.genept_s if one in asking},
        gpu="" if devices == ["cpu"] else compute.describe_devices(devices),
    )


def kinds_of(sources: Sources) -> set[str]:
    """Return the kinds of places that files come from."""
    return {place.kind for file in files_of(sources).values() for place in file.places}

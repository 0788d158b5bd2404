"""Settings of a GenePT-w model."""

from __future__ import annotations

from typing import Any, Literal

from genept.core.config import Config
from genept.engines.config import ModelConfig


class Embed(Config):
    """How a cell's sum of gene vectors is scaled."""

    divide_by: Literal["n_genes", "weights"] = "n_genes"
    unit_norm: bool = True


class Model(ModelConfig):
    """A GenePT-w model, or a control."""

    vectors: Any = None
    control: Literal["random", "shuffled"] | None = None
    embed: Embed = Embed()

"""Settings of a model of scGPT."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genept.core.config import Config, Size
from genept.core.params import Seed
from genept.engines.config import ModelConfig
from genept.engines.pretraining import Pretraining


class Pretrain(Pretraining):
    """How a small scGPT is trained."""

    max_length: Annotated[int, Field(ge=3, le=1_000_000)]  # with <cls>
    asked_genes: Size  # of <cls>, for each cell at each step
    n_bins: Annotated[int, Field(ge=3, le=1_000_000)]  # with that of zero


class Embed(Config):
    """How cells are embedded."""

    implementation: Literal["native", "upstream"] = "native"  # upstream: the network of the scgpt package
    seed: Seed = 0  # of the draws
    max_length: Annotated[int, Field(ge=2, le=1_000_000)] = 1200  # tokens of a cell, with <cls>
    binning: Literal["drawn", "expected"] = "drawn"  # of the bins a value could be in: one drawn, as upstream; the mean
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def check_precision(self) -> Self:
        """Refuse half precision where it would have no effect."""
        if self.implementation == "upstream" and self.precision != "float32":
            raise ValueError("implementation upstream runs in precision float32 only")
        return self


class Model(ModelConfig):
    """A model's file: released checkpoints have a ``source``, models trained here ``pretrain``."""

    pretrain: Pretrain | None = None
    embed: Embed

"""Settings of a model of Geneformer."""

from __future__ import annotations

from typing import Literal

from genept.core.config import Config
from genept.engines.config import ModelConfig
from genept.engines.pretraining import Pretraining


class Embed(Config):
    """How cells are embedded."""

    precision: Literal["float32", "bfloat16"] = "float32"


class Model(ModelConfig):
    """A model's file: released checkpoints have a ``source``, models trained here ``pretrain``."""

    pretrain: Pretraining | None = None
    embed: Embed

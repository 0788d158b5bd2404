"""Settings of a model of Geneformer."""

from __future__ import annotations

from typing import Literal

from genept.core.config import Config
from genept.engines.config import ModelConfig
from genept.engines.pretraining import Pretraining


class Embed(Config):
    """How cells are embedded."""

    emb_mode: Literal["cell", "cls"] | None = None  # as upstream's; None: cls with V2 dictionaries, cell with V1's
    precision: Literal["float32", "bfloat16"] = "float32"


class Model(ModelConfig):
    """A model's file: released checkpoints have a ``source``, models trained here ``pretrain``."""

    pretrain: Pretraining | None = None
    embed: Embed

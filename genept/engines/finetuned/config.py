"""The settings of a fine-tuned model."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from genept.core.config import Config
from genept.engines.config import ModelConfig


class Finetune(Config):
    """A head on an embedding, and how it is trained."""

    head: Literal["mlp", "linear"]
    width: PositiveInt  # of the hidden layer; not used by a linear head
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat


class Model(ModelConfig):
    """The file of a fine-tuned model."""

    finetune: Finetune

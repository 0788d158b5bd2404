"""The settings of a fine-tuned model."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

from genept.core.config import Config, Rounds, Size
from genept.engines.config import ModelConfig


class Finetune(Config):
    """A head on an embedding, and how it is trained."""

    head: Literal["mlp", "linear"]
    width: Size  # of the hidden layer; not used by a linear head
    epochs: Rounds
    batch_size: Size
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat


class Model(ModelConfig):
    """The file of a fine-tuned model."""

    finetune: Finetune

"""Settings of a GenePT-s model."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, model_validator

from genept.engines.config import ModelConfig
from genept.engines.encoder.settings import EncoderConfig


class Embed(EncoderConfig):
    """How cells become sentences, and what encodes them. Prompt and limit are the authors'."""

    encoder: Literal["local", "openai", "file"] = "local"  # type: ignore[assignment]  # file: vectors of your own
    prompt: str = "A cell with genes ranked by expression: "
    max_symbols: PositiveInt = 1000
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def check_precision(self) -> Embed:
        """Refuse half precision where it would have no effect."""
        if self.precision != "float32" and self.encoder != "local":
            raise ValueError(f"precision: belongs to `encoder: local`, not to `encoder: {self.encoder}`")
        return self


class Model(ModelConfig):
    """A GenePT-s model."""

    embed: Embed = Embed()

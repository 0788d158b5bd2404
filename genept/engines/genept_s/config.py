"""Settings of a GenePT-s model."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from genept.core.config import Size
from genept.engines.config import ModelConfig
from genept.engines.encoder.settings import EncoderConfig


class Embed(EncoderConfig):
    """How cells become sentences, and what encodes them. Prompt and limit are the authors'."""

    encoder: Literal["local", "openai", "file"] = "local"  # type: ignore[assignment]  # file: vectors of your own
    prompt: str = "A cell with genes ranked by expression: "
    max_symbols: Size = 1000
    order: Literal["stable", "authors"] = "stable"  # of equal values: by symbol, or as the authors' argsort leaves them
    names: Literal["approved", "original"] = "approved"  # HGNC's symbols, or the dataset's own
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def check_effects(self) -> Embed:
        """Refuse settings where they would have no effect."""
        if self.precision != "float32" and self.encoder != "local":
            raise ValueError(f"precision: belongs to `encoder: local`, not to `encoder: {self.encoder}`")
        if self.encoder == "file" and not self.is_default:
            raise ValueError("order and names: belong to sentences, not to `encoder: file`")
        return self

    @property
    def is_default(self) -> bool:
        """Whether sentences have the default order and names."""
        return (self.order, self.names) == ("stable", "approved")


class Model(ModelConfig):
    """A GenePT-s model."""

    embed: Embed = Embed()

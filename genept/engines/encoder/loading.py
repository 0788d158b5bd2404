"""Load the text encoder that a model names."""

from __future__ import annotations

from pathlib import Path

from genept.engines.encoder.encoder import Encoder
from genept.engines.encoder.settings import EncoderConfig, OpenAI


def load_encoder(config: EncoderConfig, folder: Path, device: str, precision: str = "float32") -> Encoder:
    """Return the encoder that a model's settings name.

    `folder`, `device` and `precision` are of a local one: its files, ``auto``, ``cpu`` or ``cuda``, and ``float32`` or
    ``bfloat16``.
    """
    if config.encoder == "openai":
        from genept.engines.encoder.openai import OpenAIEncoder  # each imports what only it needs

        return OpenAIEncoder(config.openai or OpenAI())
    from genept.engines.encoder.local import LocalEncoder
    from genept.engines.network.transformer import PRECISIONS

    return LocalEncoder(folder, device, dtype=PRECISIONS[precision])

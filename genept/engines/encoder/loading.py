"""Load the text encoder that a model names."""

from __future__ import annotations

from pathlib import Path

from genept.engines.encoder.encoder import Encoder
from genept.engines.encoder.settings import EncoderConfig, OpenAI


def load_encoder(config: EncoderConfig, folder: Path, device: str, precision: str = "float32") -> Encoder:
    """Return the encoder that a model's settings name.

    Parameters
    ----------
    folder
        Where the files of a local encoder are.
    device
        ``auto``, ``cpu`` or ``cuda``, as in params.yaml; for a local encoder.
    precision
        ``float32`` or ``bfloat16``, of a local encoder's layers.
    """
    if config.encoder == "openai":
        from genept.engines.encoder.openai import OpenAIEncoder  # each imports what only it needs

        return OpenAIEncoder(config.openai or OpenAI())
    from genept.engines.encoder.local import LocalEncoder
    from genept.engines.network.precision import PRECISIONS

    return LocalEncoder(folder, device, dtype=PRECISIONS[precision])

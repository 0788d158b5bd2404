"""What all text encoders share, and the one that a model names."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genept.engines.encoder.settings import EncoderConfig, OpenAI


class Encoded(NamedTuple):
    """Vectors of texts and how much was read of each, in the order of the texts."""

    vectors: np.ndarray  # (n_texts, n_dimensions), float32
    n_tokens: np.ndarray  # (n_texts,), int64: tokens read, special ones included; an upper bound if they are unknown
    n_characters: np.ndarray  # (n_texts,), int64: the encoder read this much of the text's beginning
    truncated: np.ndarray  # (n_texts,), bool: the text has more tokens than the encoder reads
    notes: dict[str, Any]  # for a reader: the device, or what the texts cost


class Encoder(abc.ABC):
    """A text encoder, ready to encode.

    Attributes
    ----------
    max_length
        Tokens that it reads of a text.
    """

    max_length: int

    @abc.abstractmethod
    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Encode texts, with a progress bar behind `label`.

        A vector depends neither on the other texts nor on their order, beyond float rounding.
        """

    def encode_words(
        self, prompt: str, words: Sequence[str], rows: Iterable[np.ndarray], label: str = "encoding"
    ) -> Encoded:
        """Encode for each of `rows`, indices of `words`, the text of `prompt` and these words, joined by spaces."""
        return self.encode((prompt + " ".join([words[i] for i in row.tolist()]) for row in rows), label)

    @abc.abstractmethod
    def card(self) -> dict[str, Any]:
        """Describe what the vectors depend on, as values that JSON has, equal for equal runs."""


def load_encoder(config: EncoderConfig, folder: Path, device: str, precision: str = "float32") -> Encoder:
    """Return the encoder that a model's settings name.

    Parameters
    ----------
    folder, device, precision
        Of a local encoder: where its files are, ``auto``, ``cpu`` or ``cuda``, and ``float32`` or ``bfloat16``.
    """
    if config.encoder == "openai":
        from genept.engines.encoder.openai import OpenAIEncoder  # each imports what only it needs

        return OpenAIEncoder(config.openai or OpenAI())
    from genept.engines.encoder.local import LocalEncoder
    from genept.engines.network.precision import PRECISIONS

    return LocalEncoder(folder, device, dtype=PRECISIONS[precision])

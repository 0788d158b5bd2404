"""What all text encoders share."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Encoded(NamedTuple):
    """Vectors of texts and how much was read of each, in the order of the texts."""

    vectors: np.ndarray  # (n_texts, n_dimensions), float32
    n_tokens: np.ndarray  # (n_texts,), int64: tokens read, special ones included; an upper bound if they are unknown
    n_characters: np.ndarray  # (n_texts,), int64: the encoder read this much of the text's beginning
    truncated: np.ndarray  # (n_texts,), bool: the text has more tokens than the encoder reads
    notes: dict[str, Any]  # for a reader: the device, or what the texts cost


class Encoder(abc.ABC):
    """A text encoder, ready to encode."""

    max_length: int  # tokens that it reads of a text

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

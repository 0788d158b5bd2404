"""A sentence encoder in a folder, such as all-MiniLM-L6-v2: a network, the mean over its tokens, unit length.

The folder holds ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``sentence_bert_config.json``, and for
an encoder that takes the first token instead of the mean (bge) sentence-transformers' ``1_Pooling/config.json`` as
``pooling.json``. The numbers are those of the package sentence-transformers, which is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import device as devices
from genept.core import files
from genept.core.errors import InputError
from genept.engines.encoder import automodel
from genept.engines.encoder import words as words_once
from genept.engines.encoder.encoder import Encoded, Encoder
from genept.engines.encoder.words import Text
from genept.engines.network import batching, bert, transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHUNK = 8192  # texts tokenised at a time: a tokenizer's own notes on a text are many times its tokens


class LocalEncoder(Encoder):
    """A sentence encoder on disk, ready to encode texts.

    Parameters
    ----------
    folder
        See the module's docstring.
    device
        As params.yaml has it: ``auto``, ``cpu`` or ``cuda``.
    max_length
        Tokens read of a text, the special ones included; what comes after is cut off. By default what
        ``sentence_bert_config.json`` says, which is what sentence-transformers does.
    dtype
        Precision of the layers.

    Raises
    ------
    InputError
        If a file is missing or damaged, the network is none that can be read, or `max_length` is more than it has
        positions for.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "auto",
        max_length: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if max_length is None:
            max_length = files.read_json(folder / "sentence_bert_config.json")["max_seq_length"]
        workers = devices.workers(device)
        self.folder = folder
        self.device = devices.describe(workers)
        self.max_length = max_length
        self.dtype = dtype
        self.first_token = read_pooling(folder)
        self.tokenizer = load_tokenizer(folder / "tokenizer.json", max_length)
        network = bert.read(folder) if automodel.kind(folder) == "bert" else automodel.read(folder)
        self.networks = {worker: network.to(worker, dtype) for worker in workers}
        self.n_dimensions = network.width
        if max_length > network.n_positions:
            raise InputError(
                f"{folder}: the encoder has {network.n_positions} positions, fewer than max_length {max_length}"
            )

    def card(self) -> dict[str, Any]:
        """Describe what the vectors depend on."""
        return {
            "encoder_sha256": files.sha256(bert.weights_path(self.folder)),
            "pooling": "first token, unit length" if self.first_token else "mean over tokens, unit length",
            "max_length": self.max_length,
        }

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Encode texts; the result depends neither on their order nor on the batches, beyond float rounding."""
        return self._encode(read(self.tokenizer, texts), label)

    def encode_words(
        self, prompt: str, words: Sequence[str], rows: Iterable[np.ndarray], label: str = "encoding"
    ) -> Encoded:
        """Encode for each of `rows` the text of `prompt` and those of the `words`, joined by single spaces.

        The same as `encode` of these texts. With a tokenizer that splits at spaces every word is tokenised once only,
        see `genept.engines.encoder.words`.
        """
        rows = list(rows)
        joined = words_once.texts(self.tokenizer, prompt, words, rows, self.max_length)
        if joined is None:
            return super().encode_words(prompt, words, rows, label)
        return self._encode(joined, label)

    def _encode(self, texts: Iterable[Text], label: str) -> Encoded:
        ids, ends, truncated = [], [], []
        for text in texts:
            ids.append(text.ids)
            ends.append(text.n_characters)
            truncated.append(text.truncated)
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)

        def forward(device: str, batch: np.ndarray) -> torch.Tensor:
            hidden = self.networks[device].hidden([ids[i] for i in batch], lengths[batch])
            if self.first_token:
                pooled = hidden[np.cumsum(lengths[batch]) - lengths[batch]]
            else:
                pooled = transformer.means(hidden, lengths[batch])
            return torch.nn.functional.normalize(pooled, dim=1)

        def inputs() -> list[Any]:
            return [str(self.dtype).encode(), *ids]

        vectors = batching.run(forward, lengths, self.n_dimensions, list(self.networks), label, inputs=inputs)
        return Encoded(
            vectors,
            lengths,
            np.array(ends, dtype=np.int64),
            np.array(truncated, dtype=bool),
            {"device": self.device},
        )


def read_pooling(folder: Path) -> bool:
    """Return whether the first token's state stands for the text, as ``pooling.json`` says; else the mean over all.

    Raises
    ------
    InputError
        If it asks for another kind, such as the maximum.
    """
    path = folder / "pooling.json"
    config = files.read_json(path) if path.is_file() else {}
    modes = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    if modes not in ([], ["pooling_mode_cls_token"], ["pooling_mode_mean_tokens"]):
        raise InputError(f"{path}: asks for {' and '.join(modes)}; only the mean and the first token can be read")
    return modes == ["pooling_mode_cls_token"]


def read(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Text]:
    """Yield what an encoder reads of every text, tokenising `CHUNK` texts at a time."""
    texts = iter(texts)
    while chunk := list(islice(texts, CHUNK)):
        for encoding in tokenizer.encode_batch(chunk):
            end = max((end for _, end in encoding.offsets), default=0)
            yield Text(np.array(encoding.ids, dtype=np.int32), end, len(encoding.overflowing) > 0)


def load_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """Read ``tokenizer.json``; what it says of truncation and padding is replaced, as sentence-transformers does."""
    from tokenizers import Tokenizer

    path.stat()
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001  (the tokenizers package raises bare Exception)
        raise InputError(f"{path}: not a readable tokenizer ({str(error).splitlines()[0]}); fetch it again") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer

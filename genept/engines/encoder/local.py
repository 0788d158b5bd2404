"""A sentence encoder in a folder, such as all-MiniLM-L6-v2: a network, the mean over its tokens, unit length.

The folder holds ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``sentence_bert_config.json``, and for
an encoder that takes the first token instead of the mean (bge) sentence-transformers' ``1_Pooling/config.json`` as
``pooling.json``. The numbers are those of the package sentence-transformers, which is not needed. A BERT runs without
padding (`genept.engines.network.bert`), any other encoder as the package transformers runs it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import compute, files
from genept.core.errors import InputError
from genept.engines.encoder import words as words_once
from genept.engines.encoder.encoder import Encoded, Encoder
from genept.engines.encoder.words import Text
from genept.engines.network import batching, bert, transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHUNK = 8192  # texts tokenised at a time: a tokenizer's own notes on a text are many times its tokens
UNUSED = "pooler"  # a layer after the states, which sentence encoders do not use and often do not have


class LocalEncoder(Encoder):
    """A sentence encoder in a folder, as the module's docstring describes it, ready to encode texts.

    `max_length` counts the tokens read of a text, the special ones included; what comes after is cut off. By default it
    is what ``sentence_bert_config.json`` says, as sentence-transformers has it. `InputError` if a file is missing or
    damaged, the network cannot be read, or has fewer positions than `max_length`.
    """

    def __init__(
        self, folder: Path, device: str = "auto", max_length: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        if max_length is None:
            max_length = files.read_json(folder / "sentence_bert_config.json")["max_seq_length"]
        workers = compute.workers(device)
        self.folder, self.device = folder, compute.describe_devices(workers)
        self.max_length, self.dtype = max_length, dtype
        self.first_token = read_pooling(folder)
        self.tokenizer = load_tokenizer(folder / "tokenizer.json", max_length)
        network = bert.read(folder) if read_kind(folder) == "bert" else read_network(folder)
        self.networks = {worker: network.to(worker, dtype) for worker in workers}
        self.n_dimensions = network.width
        if max_length > network.n_positions:
            raise InputError(
                f"{folder}: the encoder has {network.n_positions} positions, fewer than max_length {max_length}"
            )

    def card(self) -> dict[str, Any]:
        """See `Encoder.card`."""
        return {
            "encoder_sha256": files.sha256(bert.weights_path(self.folder)),
            "pooling": "first token, unit length" if self.first_token else "mean over tokens, unit length",
            "max_length": self.max_length,
        }

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Encode texts; the result depends neither on their order nor on the batches, beyond float rounding."""
        return self._encode(tokenise(self.tokenizer, texts), label)

    def encode_words(
        self, prompt: str, words: Sequence[str], rows: Iterable[np.ndarray], label: str = "encoding"
    ) -> Encoded:
        """Do as `Encoder.encode_words`; with a tokenizer that splits at spaces every word is tokenised once only."""
        rows = list(rows)
        joined = words_once.texts(self.tokenizer, prompt, words, rows, self.max_length)
        return super().encode_words(prompt, words, rows, label) if joined is None else self._encode(joined, label)

    def _encode(self, texts: Iterable[Text], label: str) -> Encoded:
        texts = list(texts)
        ids = [text.ids for text in texts]
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

        return Encoded(
            batching.run(forward, lengths, self.n_dimensions, list(self.networks), label, inputs=inputs),
            lengths,
            np.array([text.n_characters for text in texts], dtype=np.int64),
            np.array([text.truncated for text in texts], dtype=bool),
            {"device": self.device},
        )


def read_pooling(folder: Path) -> bool:
    """Return whether the first token's state stands for the text, as ``pooling.json`` says; else the mean over all."""
    path = folder / "pooling.json"
    config = files.read_json(path) if path.is_file() else {}
    modes = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    if modes not in ([], ["pooling_mode_cls_token"], ["pooling_mode_mean_tokens"]):
        raise InputError(f"{path}: asks for {' and '.join(modes)}; only the mean and the first token can be read")
    return modes == ["pooling_mode_cls_token"]


def tokenise(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Text]:
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


class AutoNetwork:
    """A network of transformers, with the methods of `genept.engines.network.bert.Bert`; it pads its batches."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.width: int = model.config.hidden_size
        padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
        first = 0 if padding is None else padding + 1  # RoBERTa and MPNet count positions from here
        self.n_positions: int = getattr(model.config, "max_position_embeddings", sys.maxsize) - first

    def to(self, device: str, dtype: torch.dtype = torch.float32) -> AutoNetwork:
        """Return a copy on a device, in a precision."""
        return AutoNetwork(copy.deepcopy(self.model).to(device=device, dtype=dtype))

    def hidden(self, sequences: Sequence[Any], lengths: np.ndarray) -> torch.Tensor:
        """Return the last layer's states of sequences of token ids, end to end: shape (sum of lengths, width)."""
        ids = [torch.from_numpy(np.asarray(sequence, dtype=np.int64)) for sequence in sequences]
        padded = torch.nn.utils.rnn.pad_sequence(ids, True, self.model.config.pad_token_id or 0)
        mask = torch.arange(padded.shape[1]) < torch.from_numpy(lengths)[:, None]
        padded, mask = padded.to(self.model.device), mask.to(self.model.device)
        return self.model(input_ids=padded, attention_mask=mask.long()).last_hidden_state[mask]


def read_kind(folder: Path) -> str:
    """Return the ``model_type`` of a folder's ``config.json``, such as ``bert``."""
    path = folder / "config.json"
    try:
        config = files.read_json(path)
    except ValueError:
        raise InputError(f"{path}: not readable as JSON; fetch it again") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise InputError(f"{path}: model_type is {kind!r}; 'bert' or another encoder of transformers is expected")
    return kind


def read_network(folder: Path) -> AutoNetwork:
    """Read an encoder by transformers; no code in the folder is run.

    Refused are a network that also decodes (T5) and missing weights, which transformers would fill with random numbers.
    """
    from transformers import AutoModel

    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: transformers cannot read this {read_kind(folder)} ({reason})") from None
    if model.config.is_encoder_decoder:
        raise InputError(f"{folder}: a {read_kind(folder)} also decodes; an encoder is expected")
    missing = sorted(name for name in info["missing_keys"] if UNUSED not in name)
    if missing:
        raise InputError(f"{folder}: {len(missing)} weights that config.json calls for are missing, e.g. {missing[0]}")
    return AutoNetwork(model.eval())

"""A sentence encoder in the layout of all-MiniLM: a BERT, the mean over its tokens, unit length.

The folder holds ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``sentence_bert_config.json``. The
numbers are those of the sentence-transformers package, which is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stages import device as devices
from stages import files
from stages.cli import progress
from stages.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers.models.bert.modeling_bert import BertModel

CHUNK = 8192  # texts tokenised and sorted at a time; bounds the memory
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}  # on two cores 2,048 was fastest, for names and for sentences


class Encoded(NamedTuple):
    """What `TextEncoder.encode` returns, in the order of the texts."""

    vectors: np.ndarray  # (n_texts, n_dimensions), float32, unit length
    n_tokens: np.ndarray  # (n_texts,), int64: tokens read, the two special ones included
    n_characters: np.ndarray  # (n_texts,), int64: the encoder read this much of the text's beginning
    truncated: np.ndarray  # (n_texts,), bool: the text has more tokens than the encoder reads


class TextEncoder:
    """A sentence encoder on disk, ready to encode texts.

    Parameters
    ----------
    folder
        See the module's docstring.
    device
        As params.yaml has it: ``auto``, ``cpu`` or ``cuda``.
    max_length
        Tokens read of a text, the two special ones included; what comes after is cut off. By default what
        ``sentence_bert_config.json`` says, which is what sentence-transformers does.

    Raises
    ------
    InputError
        If a file is missing or damaged, the network is not a BERT, or `max_length` is more than it has positions for.
    """

    def __init__(self, folder: Path, device: str = "auto", max_length: int | None = None) -> None:
        if max_length is None:
            max_length = files.read_json(folder / "sentence_bert_config.json")["max_seq_length"]
        self.device = devices.resolve(device)
        self.max_length = max_length
        self.tokenizer = load_tokenizer(folder / "tokenizer.json", max_length)
        network: Any = load_network(folder)  # Any, because transformers' decorators hide the type of `to`
        self.network = network.to(self.device)
        self.n_dimensions: int = self.network.config.hidden_size
        positions = self.network.config.max_position_embeddings
        if max_length > positions:
            raise InputError(f"{folder}: the encoder has {positions} positions, fewer than max_length {max_length}")

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Encode texts; the result depends neither on their order nor on the batches, beyond float rounding.

        `label` stands before the progress bar.
        """
        texts = iter(texts)
        parts = [self._encode_chunk(chunk, label) for chunk in iter(lambda: list(islice(texts, CHUNK)), [])]
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return Encoded(np.zeros((0, self.n_dimensions), dtype=np.float32), none, none, none.astype(bool))
        return Encoded(*map(np.concatenate, zip(*parts, strict=True)))

    def _encode_chunk(self, texts: list[str], label: str) -> Encoded:
        encodings = self.tokenizer.encode_batch(texts)
        lengths = np.array([len(encoding.ids) for encoding in encodings])
        vectors = np.empty((len(texts), self.n_dimensions), dtype=np.float32)
        for batch in progress(list(batches(lengths, TOKENS_PER_BATCH[self.device])), label, unit="batch"):
            vectors[batch] = self._forward([encodings[i].ids for i in batch])
        return Encoded(
            vectors,
            lengths,
            np.array([max(end for _, end in encoding.offsets) for encoding in encodings]),
            np.array([len(encoding.overflowing) > 0 for encoding in encodings]),
        )

    def _forward(self, token_ids: list[list[int]]) -> np.ndarray:
        import torch

        width = max(map(len, token_ids))
        ids = np.zeros((len(token_ids), width), dtype=np.int64)
        mask = np.zeros((len(token_ids), width), dtype=np.int64)
        for row, tokens in enumerate(token_ids):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        attended = torch.from_numpy(mask).to(self.device)
        with torch.inference_mode():
            # (n_texts, width, n_dimensions)
            hidden = self.network(torch.from_numpy(ids).to(self.device), attended).last_hidden_state
            weights = attended.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
            return torch.nn.functional.normalize(mean, dim=1).cpu().numpy()


def batches(lengths: np.ndarray, tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Group texts of similar length: yield index arrays such that texts x longest text is within the budget.

    A text longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, tokens_per_batch // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


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


def load_network(folder: Path) -> BertModel:
    """Read ``config.json`` and ``model.safetensors`` as float32, without the pooling layer, which has no part in it.

    Raises
    ------
    InputError
        If the network is not a BERT, or weights are missing, misshapen or damaged.
    """
    import torch
    from safetensors import SafetensorError
    from transformers.models.bert.modeling_bert import BertModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    (folder / "model.safetensors").stat()
    kind = files.read_json(folder / "config.json").get("model_type")
    if kind != "bert":
        raise InputError(f"{folder / 'config.json'}: model_type is {kind!r}; only 'bert' encoders can be read")
    try:
        loaded: Any = BertModel.from_pretrained(
            folder,
            add_pooling_layer=False,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except SafetensorError as error:
        raise InputError(f"{folder / 'model.safetensors'}: damaged ({error}); fetch it again") from None
    network, report = loaded
    wrong = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if wrong:
        raise InputError(
            f"{folder / 'model.safetensors'}: {len(wrong)} weights of the network in config.json are missing or have "
            f"another shape, the first is {wrong[0]}"
        )
    return network.eval()

"""A sentence encoder in a folder, such as all-MiniLM-L6-v2: a network, its tokens' states pooled, often unit length.

The folder holds ``config.json``, ``tokenizer.json`` and ``model.safetensors`` or ``pytorch_model.bin``, and what
sentence-transformers writes: ``modules.json``, ``1_Pooling/config.json``, ``sentence_bert_config.json`` and
``tokenizer_config.json``. Each of the latter is done as it says, or refused. Without ``1_Pooling/config.json`` (it may
also be called ``pooling.json``) the mean stands for a text, without ``modules.json`` vectors get unit length. The
numbers are those of the package sentence-transformers, which is not needed. A BERT runs without padding
(`genept.engines.network.bert`), any other encoder as the package transformers runs it.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from genept.core import compute, files
from genept.core.errors import InputError
from genept.core.readers import foreign, read_foreign
from genept.engines.encoder import words as words_once
from genept.engines.encoder.encoder import Encoded, Encoder
from genept.engines.encoder.words import Text
from genept.engines.network import batching, bert, state_dict, transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHUNK = 8192  # texts tokenised at a time: a tokenizer's own notes on a text are many times its tokens
UNUSED = "pooler"  # a layer after the states, which sentence encoders do not use and often do not have
LAYER = re.compile(r"layers?\.\d+\.")
POOLING = ("1_Pooling/config.json", "pooling.json")
POOLED = {"mean": "mean over tokens", "cls": "first token", "max": "maximum over tokens"}  # as cards have it
SWITCHES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}


class Modules(NamedTuple):
    """What sentence-transformers would do with a folder."""

    folder: Path  # of the network and the tokenizer
    pooling: str  # of `POOLED`
    unit_length: bool


class LocalEncoder(Encoder):
    """A sentence encoder in a folder, as the module's docstring describes it, ready to encode texts.

    `max_length` counts the tokens read of a text, the special ones included; what comes after is cut off. By default it
    is what the folder says (`read_max_length`). `InputError` if a file is missing or damaged, the network cannot be
    read, has fewer positions than `max_length` or fewer tokens than the tokenizer, or the folder asks for anything else
    than is done here. So nothing of this can end the work later. A tokenizer that fails on a text is an `InputError` of
    `encode`, before the network runs.
    """

    def __init__(
        self, folder: Path, device: str = "auto", max_length: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        workers = compute.workers(device)
        self.modules, self.device, self.dtype = read_modules(folder), compute.describe_devices(workers), dtype
        folder = self.modules.folder
        network = bert.read(folder) if read_kind(folder) == "bert" else read_network(folder)
        self.max_length = max_length or read_max_length(folder, network.n_positions)
        if self.max_length > network.n_positions:
            raise InputError(
                f"{folder}: the encoder has {network.n_positions} positions, fewer than max_length {self.max_length}"
            )
        self.tokenizer = load_tokenizer(folder, self.max_length)
        self.n_tokens = network.n_tokens
        self.require_known(max(self.tokenizer.get_vocab().values(), default=0))
        self.networks = {worker: network.to(worker, dtype) for worker in workers}
        self.n_dimensions = network.width

    def require_known(self, last: int) -> None:
        """Raise `InputError` if the network does not have the token of the highest number."""
        if last >= self.n_tokens:
            raise InputError(
                f"{self.modules.folder}: tokenizer.json has tokens up to number {last}, but the network has "
                f"{self.n_tokens}; they do not belong together"
            )

    def card(self) -> dict[str, Any]:
        """See `Encoder.card`."""
        return {
            "encoder_sha256": files.sha256(bert.weights_path(self.modules.folder)),
            "pooling": POOLED[self.modules.pooling] + (", unit length" if self.modules.unit_length else ""),
            "max_length": self.max_length,
        }

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Encode texts; the result depends neither on their order nor on the batches, beyond float rounding."""
        with tokenizing(self.modules.folder):
            tokens = list(tokenise(self.tokenizer, texts))
        return self._encode(tokens, label)

    def encode_words(
        self, prompt: str, words: Sequence[str], rows: Iterable[np.ndarray], label: str = "encoding"
    ) -> Encoded:
        """Do as `Encoder.encode_words`; with a tokenizer that splits at spaces every word is tokenised once only."""
        rows = list(rows)
        with tokenizing(self.modules.folder):
            joined = words_once.texts(self.tokenizer, prompt, words, rows, self.max_length)
        return super().encode_words(prompt, words, rows, label) if joined is None else self._encode(joined, label)

    def _encode(self, texts: Iterable[Text], label: str) -> Encoded:
        texts = list(texts)
        ids = [text.ids for text in texts]
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)
        self.require_known(max((int(tokens.max(initial=0)) for tokens in ids), default=0))

        def forward(device: str, batch: np.ndarray) -> torch.Tensor:
            hidden = self.networks[device].hidden([ids[i] for i in batch], lengths[batch])
            pooled = pool(hidden, lengths[batch], self.modules.pooling)
            return torch.nn.functional.normalize(pooled, dim=1) if self.modules.unit_length else pooled

        def inputs() -> list[Any]:
            return [str(self.dtype).encode(), *ids]

        return Encoded(
            batching.run(forward, lengths, self.n_dimensions, list(self.networks), label, inputs=inputs),
            lengths,
            np.array([text.n_characters for text in texts], dtype=np.int64),
            np.array([text.truncated for text in texts], dtype=bool),
            {"device": self.device},
        )


def pool(hidden: torch.Tensor, lengths: np.ndarray, how: str) -> torch.Tensor:
    """Make one vector of the states of each text's tokens, which lie end to end: float32, shape (n_texts, width)."""
    if how == "mean":
        return transformer.means(hidden, lengths)
    if how == "cls":
        return hidden[np.cumsum(lengths) - lengths].float()
    runs = transformer.runs(lengths)
    return torch.cat([hidden[run.tokens].unflatten(0, (-1, run.length)).amax(1) for run in runs]).float()


def read_modules(folder: Path) -> Modules:
    """Read ``modules.json`` and the settings of pooling; `InputError` if they ask for what cannot be done."""
    path = folder / "modules.json"
    if not path.is_file():
        pooling = next((folder / name for name in POOLING if (folder / name).is_file()), None)
        return Modules(folder, read_pooling(pooling) if pooling else "mean", unit_length=True)
    try:
        modules = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in read_foreign(path, list)]
    except (TypeError, KeyError):
        raise InputError(f"{path}: expected a list of modules, each with type and path; fetch it again") from None
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            f"{path}: asks for {', '.join(kinds)[:200] or 'nothing'}; only a Transformer, its Pooling and then "
            "Normalize can be run; use another encoder"
        )
    for _, place in modules:
        if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
            raise InputError(f"{path}: {place!r} is not within the folder")
    pooling = folder / modules[1][1] / "config.json"
    if not pooling.is_file():
        raise InputError(f"{pooling}: no such file, but modules.json asks for it; add it to files of the source")
    return Modules(folder / modules[0][1], read_pooling(pooling), unit_length=len(modules) == 3)


def read_pooling(path: Path) -> str:
    """Return how a text's states are pooled, of `POOLED`; `InputError` for any other way, and for several."""
    config = read_foreign(path)
    modes = config.get("pooling_mode")  # since sentence-transformers 5; before, a switch for each mode
    if modes is None:
        modes = [SWITCHES.get(name, name) for name, on in config.items() if name.startswith("pooling_mode_") and on]
    modes = modes if isinstance(modes, list) else [modes]
    if len(modes) != 1 or modes[0] not in POOLED:
        raise InputError(
            f"{path}: asks for {' and '.join(map(str, modes)) or 'no pooling'}; only one of {', '.join(POOLED)} can be "
            "done; use another encoder"
        )
    return str(modes[0])


def read_max_length(folder: Path, n_positions: int) -> int:
    """Return how many tokens are read of a text.

    As in sentence-transformers: what ``sentence_bert_config.json`` says, else the lower of the network's positions and
    ``model_max_length`` in ``tokenizer_config.json``.
    """
    path = folder / "sentence_bert_config.json"
    found = (read_foreign(path) if path.is_file() else {}).get("max_seq_length")
    if found is None:
        path = folder / "tokenizer_config.json"
        found = (read_foreign(path) if path.is_file() else {}).get("model_max_length", n_positions)
        found = min(found, n_positions) if type(found) in (int, float) else found
    if type(found) is not int or not 0 < found < sys.maxsize:
        raise InputError(f"{path}: the tokens that are read of a text should be a positive number, not {found!r:.50}")
    return found


def tokenise(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Text]:
    """Yield what an encoder reads of every text, tokenising `CHUNK` texts at a time."""
    texts = iter(texts)
    while chunk := list(islice(texts, CHUNK)):
        for encoding in tokenizer.encode_batch(chunk):
            end = max((end for _, end in encoding.offsets), default=0)
            yield Text(np.array(encoding.ids, dtype=np.int32), end, len(encoding.overflowing) > 0)


@contextlib.contextmanager
def tokenizing(folder: Path) -> Iterator[None]:
    """Turn what the tokenizers package raises, bare `Exception` and panics of Rust, into one line."""
    path = folder / "tokenizer.json"
    try:
        yield
    except (InputError, MemoryError, OSError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = foreign(path) or " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a usable tokenizer ({reason}); fetch it again") from None


def require_charsmaps(normalizers: list[Any]) -> None:
    """Raise `ValueError` if a ``precompiled_charsmap`` declares more bytes than it has: Rust would end the process."""
    for normalizer in normalizers:
        if isinstance(normalizer, dict):
            charsmap = base64.b64decode(normalizer.get("precompiled_charsmap", "AAAAAA=="))
            if len(charsmap) < 4 + int.from_bytes(charsmap[:4], "little"):
                raise ValueError("the charsmap of its normalizer is cut")
            require_charsmaps(normalizer.get("normalizers", []))


def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """Read ``tokenizer.json``; what it says of truncation and padding is replaced, as sentence-transformers does.

    Texts become lower case if ``sentence_bert_config.json`` has ``do_lower_case``.
    """
    from tokenizers import Tokenizer, normalizers

    path = folder / "tokenizer.json"
    with tokenizing(folder):
        require_charsmaps([read_foreign(path).get("normalizer")])
        tokenizer = Tokenizer.from_file(str(path))
        n_special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if max_length <= n_special:
        raise InputError(f"{path}: adds {n_special} tokens to a text, so max_length {max_length} leaves no room for it")
    settings = folder / "sentence_bert_config.json"
    if settings.is_file() and read_foreign(settings).get("do_lower_case") is True:
        own = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


class AutoNetwork:
    """A network of transformers, with the methods of `genept.engines.network.bert.Bert`; it pads its batches."""

    def __init__(self, model: Any) -> None:
        self.model = model
        padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
        first = 0 if padding is None else padding + 1  # RoBERTa and MPNet count positions from here
        self.n_positions: int = getattr(model.config, "max_position_embeddings", None) or sys.maxsize
        self.n_positions -= first
        self.n_tokens: int = model.get_input_embeddings().num_embeddings
        with torch.inference_mode():  # one token, as a trial
            self.width: int = self.hidden([[0]], np.array([1])).shape[1]

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
    kind = read_foreign(path).get("model_type")
    if not isinstance(kind, str):
        raise InputError(f"{path}: model_type is {kind!r}; 'bert' or another encoder of transformers is expected")
    return kind


def read_network(folder: Path) -> AutoNetwork:
    """Read an encoder by transformers; no code in the folder is run.

    Refused are a network that also decodes (T5) or reads no text, and missing weights, which transformers would fill
    with random numbers.
    """
    from transformers import MODEL_MAPPING, AutoConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it reports on weights in tables
    path, kind = bert.weights_path(folder), read_kind(folder)
    found = {
        name: state_dict.float32(path, name, weight) if weight.is_floating_point() else weight
        for name, weight in state_dict.read(path).items()
    }
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if getattr(config, "is_encoder_decoder", False):
            raise ValueError("it also decodes; an encoder is expected")
        if getattr(config, "num_hidden_layers", 1) > bert.MOST_LAYERS:
            raise ValueError(f"config.json asks for {config.num_hidden_layers} layers")
        network: Any = MODEL_MAPPING[type(config)]
        model, info = (network[0] if isinstance(network, tuple) else network).from_pretrained(
            None, config=config, state_dict=found, dtype=torch.float32, output_loading_info=True
        )
        if missing := sorted(name for name in info["missing_keys"] if UNUSED not in name):
            raise ValueError(f"{len(missing)} weights that config.json calls for are missing, e.g. {missing[0]}")
        if more := sorted(name for name in info["unexpected_keys"] if LAYER.search(name)):
            raise ValueError(f"it has more layers than config.json calls for, e.g. {more[0]}")
        return AutoNetwork(model.eval())
    except Exception as error:  # noqa: BLE001  (of any code in transformers)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "ignore_mismatched_sizes" in reason:
            reason = "its weights have other shapes than config.json calls for"
        raise InputError(f"{folder}: transformers cannot read this {kind} ({reason})") from None

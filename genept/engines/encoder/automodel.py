"""Encoders that are no BERT (MPNet, RoBERTa, ModernBERT, ...), as the package transformers runs them."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genept.core import files
from genept.core.errors import InputError

UNUSED = "pooler"  # a layer after the states, which sentence encoders do not use and often do not have


class AutoNetwork:
    """A network of transformers, with the methods of `genept.engines.network.bert.Bert`; it pads its batches.

    Attributes
    ----------
    width
        Dimensions of a state.
    n_positions
        Tokens that a sequence may have.
    """

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


def kind(folder: Path) -> str:
    """Return the ``model_type`` of a folder's ``config.json``.

    Raises
    ------
    InputError
        If it has none or is not readable.
    """
    path = folder / "config.json"
    try:
        config = files.read_json(path)
    except ValueError:
        raise InputError(f"{path}: not readable as JSON; fetch it again") from None
    found = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(found, str):
        raise InputError(f"{path}: model_type is {found!r}; 'bert' or another encoder of transformers is expected")
    return found


def read(folder: Path) -> AutoNetwork:
    """Read an encoder from ``config.json`` and ``model.safetensors``; code in the folder is not run.

    Raises
    ------
    InputError
        If transformers cannot read it, it also decodes (T5), or weights are missing, which transformers would fill with
        random numbers.
    """
    from transformers import AutoModel

    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: transformers cannot read this {kind(folder)} ({reason})") from None
    if model.config.is_encoder_decoder:
        raise InputError(f"{folder}: a {kind(folder)} also decodes; an encoder is expected")
    missing = sorted(name for name in info["missing_keys"] if UNUSED not in name)
    if missing:
        raise InputError(f"{folder}: {len(missing)} weights that config.json calls for are missing, e.g. {missing[0]}")
    return AutoNetwork(model.eval())

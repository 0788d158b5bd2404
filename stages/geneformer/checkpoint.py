"""Geneformer checkpoints: ``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``.

They are what transformers writes of a ``BertForMaskedLM``.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stages import files
from stages.errors import InputError

if TYPE_CHECKING:
    from transformers import BertModel

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def load(folder: Path, vocabulary_size: int) -> BertModel:
    """Load the encoder without its last layer, ready to run.

    Geneformer's cell embedding is the second-to-last layer (upstream ``emb_layer=-1``), so the last one need not run.

    Parameters
    ----------
    vocabulary_size
        Entries of the token dictionary, which the checkpoint must fit.

    Raises
    ------
    InputError
        If a file is missing or damaged, or a weight is missing or misshapen. (transformers' own loader would fill a
        missing weight with random numbers.)
    """
    from transformers.initialization import no_init_weights
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    settings = read_config(folder / "config.json")
    if settings.get("vocab_size") != vocabulary_size:
        raise InputError(
            f"{folder}: the checkpoint knows {settings.get('vocab_size')} tokens, the token dictionary has "
            f"{vocabulary_size}; they are not of one release"
        )
    try:
        with no_init_weights():
            model = BertModel(BertConfig.from_dict(settings), add_pooling_layer=False)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{folder / 'config.json'}: not a usable BERT configuration ({error})") from None
    path = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if path is None:
        raise InputError(f"{folder}: no weights; expected {' or '.join(WEIGHTS)}")
    weights = {name.removeprefix("bert."): tensor for name, tensor in read_weights(path).items()}
    expected = model.state_dict()
    check(path, weights, expected)
    model.load_state_dict({name: weights[name] for name in expected})
    model.encoder.layer = model.encoder.layer[:-1]
    return model.eval()


def read_config(path: Path) -> dict[str, Any]:
    """Read a checkpoint's configuration."""
    try:
        settings = files.read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InputError(f"{path}: not readable as JSON; fetch it again") from None
    if not isinstance(settings, dict) or settings.get("model_type") != "bert":
        raise InputError(f"{path}: not the configuration of a BERT, which Geneformer is")
    return settings


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a weights file, of either format, without running anything in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: damaged or not a weights file ({str(error).splitlines()[0]})") from None


def check(path: Path, weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Check that every weight the network needs is there with its shape, and finite; others (the head) are ignored."""
    missing = [name for name in expected if name not in weights]
    if missing:
        raise InputError(f"{path}: {len(missing)} weights that config.json calls for are missing, e.g. {missing[0]}")
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {name} has shape {tuple(weights[name].shape)}, config.json calls for {tuple(tensor.shape)}"
            )
        if not torch.isfinite(weights[name]).all():
            raise InputError(f"{path}: {name} holds NaN or infinite numbers")

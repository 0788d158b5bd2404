"""BERT encoders in the layout that transformers writes: ``config.json`` beside the weights.

The function is that of transformers' ``BertModel`` without pooling layer; the package itself, slow to import and to run
over padding, is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from genept.core.config import explain
from genept.core.errors import InputError
from genept.core.readers import read_foreign
from genept.engines.network import state_dict, transformer
from genept.engines.network.transformer import Layer, Transformer

MOST_LAYERS = 200  # far more than any has
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
PARTS = ("bert", "embeddings", "encoder", "pooler", "cls")  # of a network, before the first dot of a weight's name
PROJECTIONS = tuple(f"attention.self.{kind}" for kind in ("query", "key", "value"))
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"gelu": torch.ops.aten.gelu_, "relu": torch.relu_}


class Bert(NamedTuple):
    """An encoder, ready to run."""

    words: torch.Tensor  # (n_tokens, width)
    positions: torch.Tensor  # (n_positions, width), with the embedding of the first token type, the only one used
    norm_weight: torch.Tensor
    norm_bias: torch.Tensor
    transformer: Transformer

    @property
    def width(self) -> int:
        """Dimensions of a state."""
        return self.words.shape[1]

    @property
    def n_tokens(self) -> int:
        """Tokens that have an embedding."""
        return len(self.words)

    @property
    def n_positions(self) -> int:
        """Tokens that a sequence may have."""
        return len(self.positions)

    def to(self, device: str, dtype: torch.dtype = torch.float32) -> Bert:
        """Return it with its weights on a device, and the layers in a precision; tokens are embedded in float32."""
        words, positions, norm_weight, norm_bias = (weight.to(device) for weight in self[:4])
        return Bert(words, positions, norm_weight, norm_bias, self.transformer.to(device, dtype))

    def hidden(self, sequences: Sequence[Any], lengths: np.ndarray, *, first_only: bool = False) -> torch.Tensor:
        """Return the last layer's states of sequences of token ids, end to end: shape (sum of lengths, width).

        With `first_only` those of each sequence's first token: shape (n_sequences, width).
        """
        ids = torch.from_numpy(np.concatenate(sequences).astype(np.int64)).to(self.words.device)
        places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        x = F.embedding(ids, self.words).add_(F.embedding(torch.from_numpy(places).to(ids.device), self.positions))
        x = F.layer_norm(x, x.shape[1:], self.norm_weight, self.norm_bias, self.transformer.epsilon)
        return transformer.encode(self.transformer, x.to(self.transformer.dtype), lengths, first_only=first_only)


def read(folder: Path, n_layers_dropped: int = 0) -> Bert:
    """Read an encoder in float32, accepting nothing that does not fit together.

    transformers' own loader would fill a missing weight with random numbers. Weights that an encoder does not have
    (the pooling layer, the head) are ignored. The last `n_layers_dropped` layers are checked, but not kept.

    `InputError` if a file is missing or damaged, the network is not a BERT, or a weight is missing, misshapen, of an
    unusual kind of number or not finite.
    """
    config = read_config(folder / "config.json")
    path = weights_path(folder)
    found = {name.removeprefix("bert."): weight for name, weight in state_dict.read(path, PARTS).items()}
    expected = shapes(config)
    missing = [name for name in expected if name not in found]
    if missing:
        raise InputError(f"{path}: {len(missing)} weights that config.json calls for are missing, e.g. {missing[0]}")
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise InputError(f"{path}: {name} has shape {tuple(found[name].shape)}, config.json calls for {shape}")
    if any(name.startswith(f"encoder.layer.{config['num_hidden_layers']}.") for name in found):
        raise InputError(f"{path}: has more layers than the {config['num_hidden_layers']} of config.json")
    weights = {name: state_dict.float32(path, name, found[name]) for name in expected}
    n_layers = config["num_hidden_layers"] - n_layers_dropped
    return Bert(
        weights["embeddings.word_embeddings.weight"],
        weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0],
        weights["embeddings.LayerNorm.weight"],
        weights["embeddings.LayerNorm.bias"],
        Transformer(
            tuple(layer(weights, f"encoder.layer.{i}") for i in range(n_layers)),
            config["num_attention_heads"],
            ACTIVATIONS[config["hidden_act"]],
            config["layer_norm_eps"],
        ),
    )


def weights_path(folder: Path) -> Path:
    """Return the file of an encoder's weights; raise `InputError` if there is none."""
    path = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if path is None:
        raise InputError(f"{folder}: no weights; expected {' or '.join(WEIGHTS)}")
    return path


class BertConfig(BaseModel):
    """What is read of ``config.json``; what transformers has a default for may be missing."""

    model_config = ConfigDict(strict=True, protected_namespaces=())

    model_type: Literal["bert"]
    vocab_size: PositiveInt
    hidden_size: PositiveInt
    num_hidden_layers: Annotated[int, Field(gt=0, le=MOST_LAYERS)]
    num_attention_heads: PositiveInt
    intermediate_size: PositiveInt
    max_position_embeddings: PositiveInt
    type_vocab_size: PositiveInt = 2
    hidden_act: Literal["gelu", "relu"] = "gelu"
    layer_norm_eps: float = 1e-12
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False  # one reads a text from left to right


def read_config(path: Path) -> dict[str, Any]:
    """Read and check a configuration."""
    try:
        config = BertConfig.model_validate(read_foreign(path))
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    if config.hidden_size % config.num_attention_heads:
        raise InputError(
            f"{path}: hidden_size {config.hidden_size} cannot be divided into {config.num_attention_heads} heads"
        )
    return config.model_dump()


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight of the encoder, as transformers names them."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    found = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for i in range(config["num_hidden_layers"]):
        for part, (n_out, n_in) in {
            **dict.fromkeys(PROJECTIONS, (width, width)),
            "attention.output.dense": (width, width),
            "intermediate.dense": (hidden, width),
            "output.dense": (width, hidden),
        }.items():
            found |= {f"encoder.layer.{i}.{part}.weight": (n_out, n_in), f"encoder.layer.{i}.{part}.bias": (n_out,)}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            found |= {f"encoder.layer.{i}.{part}.{kind}": (width,) for kind in ("weight", "bias")}
    return found


def layer(weights: dict[str, torch.Tensor], name: str) -> Layer:
    """Gather the weights of one layer."""

    def pair(part: str) -> tuple[torch.Tensor, torch.Tensor]:
        return weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"]

    in_weights, in_biases = zip(*map(pair, PROJECTIONS), strict=True)
    return Layer(
        torch.cat(in_weights),
        torch.cat(in_biases),
        *pair("attention.output.dense"),
        *pair("attention.output.LayerNorm"),
        *pair("intermediate.dense"),
        *pair("output.dense"),
        *pair("output.LayerNorm"),
    )

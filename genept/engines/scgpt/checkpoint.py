"""scGPT checkpoints in the layout of the released ones: ``args.json``, ``vocab.json`` and ``best_model.pt``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from torch import nn

from genept.core import files
from genept.core.config import explain
from genept.core.errors import InputError
from genept.core.readers import read_foreign
from genept.engines.network import state_dict

PAD, CLS, EOC = "<pad>", "<cls>", "<eoc>"
SPECIAL_TOKENS = (PAD, CLS, EOC)

#: Parts of upstream's models that a cell embedding does not run through: output heads, and inputs of other tasks.
UNUSED = (
    "decoder.",  # masked values from the genes' outputs
    "mvc_decoder.",  # masked values from the cell embedding
    "cls_decoder.",  # cell types
    "grad_reverse_discriminator.",  # batch correction
    "batch_encoder.",  # batch labels, which only the decoders see
    "flag_encoder.",  # known or asked for, in generative pretraining; the released checkpoints have it
    "pert_encoder.",  # perturbed or not
)
#: Batch norms, before the encoder's layers. Upstream's ``load_pretrained`` drops them without a word.
BATCH_NORMS = ("dsbn.", "bn.")
PARTS = (
    *(name.removesuffix(".") for name in BATCH_NORMS),
    "encoder",
    "value_encoder",
    "transformer_encoder",
    *(name.removesuffix(".") for name in UNUSED),
)


class Args(BaseModel):
    """What an embedding depends on of ``args.json``, under upstream's names; other settings are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    embsize: PositiveInt  # width of the embedding
    nheads: PositiveInt
    d_hid: PositiveInt  # width of the feed-forward layers
    nlayers: Annotated[int, Field(gt=0, le=200)]
    n_bins: Annotated[int, Field(ge=2, le=10_000)]  # one for zero, the others for values
    pad_value: Annotated[int, Field(ge=-10_000, le=10_000)]  # given with padding and with <cls>
    input_emb_style: Literal["continuous"] = "continuous"
    pad_token: Literal["<pad>"] = "<pad>"

    @model_validator(mode="after")
    def check_heads(self) -> Self:
        """Refuse a width that the heads cannot share."""
        if self.embsize % self.nheads:
            raise ValueError(f"embsize {self.embsize} cannot be divided into {self.nheads} heads")
        return self


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: settings, the number of every token, and the encoder's weights in float32."""

    args: Args
    vocab: dict[str, int]
    weights: dict[str, torch.Tensor]


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Upstream's ``load_pretrained`` drops missing and misshapen weights without a word and leaves random ones in their
    place; here they are errors. Attention weights under flash-attention's names (``Wqkv.*``) get torch's
    (``in_proj_*``), as upstream does. As upstream, a vocabulary without the special tokens gets them at its end.

    `InputError` too for a damaged file, a missing setting or token, unusual or infinite numbers, and a weight that is
    neither the encoder's nor one of `UNUSED`.
    """
    try:
        args = Args.model_validate(read_foreign(folder / "args.json"))
    except ValidationError as error:
        raise InputError(f"{folder / 'args.json'}: {explain(error)}") from None
    vocab = read_vocab(folder / "vocab.json")
    path = folder / "best_model.pt"
    weights = {name.replace("Wqkv.", "in_proj_"): weight for name, weight in read_weights(path).items()}
    n_in_file = len(vocab)
    n_rows = len(torch.atleast_1d(weights.get("encoder.embedding.weight", torch.empty(n_in_file))))
    for token in SPECIAL_TOKENS:
        vocab.setdefault(token, len(vocab))
    encoder = {}
    for name, shape in shapes(args, n_rows).items():
        if name not in weights:
            raise InputError(f"{path}: no weight {name!r}, expected with shape {shape}; the checkpoint is incomplete")
        if weights[name].shape != shape:
            has = tuple(weights[name].shape)
            raise InputError(f"{path}: weight {name!r} has shape {has}, but args.json makes it {shape}")
        encoder[name] = state_dict.float32(path, name, weights[name])
    for name in weights:
        if name.startswith(BATCH_NORMS):
            raise InputError(
                f"{path}: has batch norms ({name}), which need the batch of each cell; embedding has none, so use a "
                "checkpoint trained without domain_spec_batchnorm, such as the one that this was tuned from"
            )
        if name not in encoder and not name.startswith(UNUSED):
            more = name.startswith("transformer_encoder.layers.")
            kind = f"one of more layers than the {args.nlayers} of args.json" if more else "another kind of model"
            raise InputError(f"{path}: unexpected weight {name!r}; the checkpoint is of {kind}")
    if not n_in_file <= n_rows <= len(vocab):
        raise InputError(f"{path}: embeds {n_rows} tokens, but vocab.json has {n_in_file}; they do not belong together")
    for token in (PAD, CLS):
        if vocab[token] >= n_rows:
            raise InputError(f"{folder / 'vocab.json'}: no token {token!r}, and the weights have no row for it")
    return Checkpoint(args, vocab, encoder)


def read_vocab(path: Path) -> dict[str, int]:
    """Read ``vocab.json``; the numbers must be 0, 1, 2 and so on, each once, else `InputError`."""
    vocab = read_foreign(path)
    tokens: dict[int, str] = {}
    for token, number in vocab.items():
        if type(number) is not int or not 0 <= number < len(vocab):
            wrong = f"{token!r} has {str(number)[:50]!r}"
        elif number in tokens:
            wrong = f"{tokens[number]!r} and {token!r} both have {number}"
        else:
            tokens[number] = token
            continue
        raise InputError(f"{path}: tokens should be numbered 0 to {len(vocab) - 1}, each number once; {wrong}")
    return vocab


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all weights in a file, of the encoder or not (see `genept.engines.network.state_dict.read`)."""
    return state_dict.read(path, PARTS)


def write(folder: Path, args: dict[str, Any], vocab: dict[str, int], weights: Mapping[str, torch.Tensor]) -> None:
    """Write a checkpoint; equal content gives equal bytes.

    ``torch.save`` puts the file's name into the archive, so the archive is made in memory, where it has none.
    """
    archive = io.BytesIO()
    torch.save({name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()}, archive)
    (folder / "best_model.pt").write_bytes(archive.getbuffer())
    files.write_json(folder / "args.json", args)
    files.write_json(folder / "vocab.json", vocab)


def shapes(args: Args, n_tokens: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight of the encoder, as ``scgpt``'s TransformerModel names them.

    The embedding is built from given weights: drawing them on the meta device would import ``torch._dynamo``, which
    takes some seconds.
    """
    width = args.embsize
    with torch.device("meta"):  # shapes without numbers
        layer = nn.TransformerEncoderLayer(width, args.nheads, args.d_hid)
        parts = {
            "encoder.embedding": nn.Embedding.from_pretrained(torch.empty(n_tokens, width)),
            "encoder.enc_norm": nn.LayerNorm(width),
            "value_encoder.linear1": nn.Linear(1, width),
            "value_encoder.linear2": nn.Linear(width, width),
            "value_encoder.norm": nn.LayerNorm(width),
            **{f"transformer_encoder.layers.{i}": layer for i in range(args.nlayers)},
        }
    return {
        f"{part}.{name}": tuple(w.shape) for part, module in parts.items() for name, w in module.state_dict().items()
    }

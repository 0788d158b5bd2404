"""scGPT checkpoints in the layout of the released ones: ``args.json``, ``vocab.json`` and ``best_model.pt``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genept.core import files
from genept.core.errors import InputError
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
PARTS = ("encoder", "value_encoder", "transformer_encoder", *(name.removesuffix(".") for name in UNUSED))


@dataclass(frozen=True)
class Config:
    """What of ``args.json`` an embedding depends on, under upstream's names.

    ``embsize`` is the embedding's width, ``d_hid`` that of the feed-forward layers, ``pad_value`` the value given with
    padding and with ``<cls>``; values are bins 1 to ``n_bins`` - 1.
    """

    embsize: int
    nheads: int
    d_hid: int
    nlayers: int
    n_bins: int
    pad_value: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: settings, the number of every token, and the encoder's weights in float32."""

    config: Config
    vocab: dict[str, int]
    weights: dict[str, torch.Tensor]


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint, accepting nothing that does not fit together.

    Upstream's ``load_pretrained`` drops missing and misshapen weights without a word and leaves random ones in their
    place; here they are errors. Attention weights under flash-attention's names (``Wqkv.*``) get torch's
    (``in_proj_*``), as upstream does. As upstream, a vocabulary without the special tokens gets them at its end.

    Raises
    ------
    InputError
        If a file is damaged, a setting, token or weight is missing, a shape contradicts ``args.json`` or the
        vocabulary, a weight is of an unusual kind of number or not finite, or there is a weight that is neither the
        encoder's nor one of `UNUSED`.
    """
    config = read_config(folder / "args.json")
    vocab = read_vocab(folder / "vocab.json")
    path = folder / "best_model.pt"
    weights = {name.replace("Wqkv.", "in_proj_"): weight for name, weight in read_weights(path).items()}
    n_in_file = len(vocab)
    embedding = weights.get("encoder.embedding.weight")
    n_rows = n_in_file if embedding is None or not embedding.ndim else len(embedding)
    for token in SPECIAL_TOKENS:
        vocab.setdefault(token, len(vocab))
    encoder = {}
    for name, shape in shapes(config, n_rows).items():
        if name not in weights:
            raise InputError(f"{path}: no weight {name!r}, expected with shape {shape}; the checkpoint is incomplete")
        found = tuple(weights[name].shape)
        if found != shape:
            raise InputError(f"{path}: weight {name!r} has shape {found}, but args.json makes it {shape}")
        encoder[name] = state_dict.float32(path, name, weights[name])
    for name in weights:
        if name not in encoder and not name.startswith(UNUSED):
            raise InputError(
                f"{path}: unexpected weight {name!r}; the checkpoint is of another kind of model, or has more layers "
                f"than the {config.nlayers} of args.json"
            )
    if not n_in_file <= n_rows <= len(vocab):
        raise InputError(
            f"{path}: embeds {n_rows} tokens, but vocab.json has {n_in_file}; the files do not belong together"
        )
    for token in (PAD, CLS):
        if vocab[token] >= n_rows:
            raise InputError(f"{folder / 'vocab.json'}: no token {token!r}, and the weights have no row for it")
    return Checkpoint(config, vocab, encoder)


def read_config(path: Path) -> Config:
    """Read ``args.json``; a missing or impossible setting raises `InputError`."""
    args = _mapping(path)
    sizes = {}
    for name in ("embsize", "nheads", "d_hid", "nlayers", "n_bins", "pad_value"):
        value = args.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or (name != "pad_value" and value < 1):
            raise InputError(f"{path}: setting {name!r} should be a whole number, found {value!r}")
        sizes[name] = value
    if sizes["n_bins"] < 2:
        raise InputError(f"{path}: n_bins should be at least 2, one for zero and one for values; found 1")
    if sizes["embsize"] % sizes["nheads"]:
        raise InputError(f"{path}: embsize {sizes['embsize']} cannot be divided into {sizes['nheads']} heads")
    style = args.get("input_emb_style", "continuous")
    if style != "continuous":
        raise InputError(f"{path}: input_emb_style {style!r} is not supported, only 'continuous'")
    if args.get("pad_token", PAD) != PAD:
        raise InputError(f"{path}: pad_token {args['pad_token']!r} is not supported, only {PAD!r}")
    return Config(**sizes)


def read_vocab(path: Path) -> dict[str, int]:
    """Read ``vocab.json``; the numbers must be 0, 1, 2 and so on, each once, else `InputError`."""
    vocab = _mapping(path)
    numbers = list(vocab.values())
    if not all(type(number) is int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise InputError(f"{path}: tokens should be numbered 0 to {len(numbers) - 1}, each number once")
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


def shapes(config: Config, n_tokens: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight of the encoder, as ``scgpt``'s TransformerModel names them."""
    width, hidden = config.embsize, config.d_hid
    norm: dict[str, tuple[int, ...]] = {"weight": (width,), "bias": (width,)}
    parts: dict[str, dict[str, tuple[int, ...]]] = {
        "encoder.embedding": {"weight": (n_tokens, width)},
        "encoder.enc_norm": norm,
        "value_encoder.linear1": {"weight": (width, 1), "bias": (width,)},
        "value_encoder.linear2": {"weight": (width, width), "bias": (width,)},
        "value_encoder.norm": norm,
    }
    for i in range(config.nlayers):
        layer = f"transformer_encoder.layers.{i}"
        parts |= {
            f"{layer}.self_attn": {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)},
            f"{layer}.self_attn.out_proj": {"weight": (width, width), "bias": (width,)},
            f"{layer}.linear1": {"weight": (hidden, width), "bias": (hidden,)},
            f"{layer}.linear2": {"weight": (width, hidden), "bias": (width,)},
            f"{layer}.norm1": norm,
            f"{layer}.norm2": norm,
        }
    return {f"{part}.{name}": shape for part, names in parts.items() for name, shape in names.items()}


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = files.read_json(path)
    except ValueError as error:  # not JSON, or not text
        raise InputError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content

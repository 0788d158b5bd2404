"""scGPT's encoder, from weights to cell embeddings.

The same function as ``TransformerModel._encode`` of scgpt 0.2.4 followed by the division by the L2 norm, without what a
cell embedding does not need: the last layer is computed for ``<cls>`` alone, the embeddings of genes and of bins are
looked up in tables made once, and there is no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from genept.engines.network import batching, transformer
from genept.engines.network.transformer import Layer, Transformer
from genept.engines.scgpt.checkpoint import Checkpoint
from genept.engines.scgpt.tokens import Tokens

#: Upstream clips values there before it embeds them.
MAX_VALUE = 512
EPSILON = 1e-5  # of the norms, torch's default
STEPS = 2  # values looked up per bin: an expected bin may lie half-way between two

LAYER = (
    *("self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight", "self_attn.out_proj.bias"),
    *(f"{part}.{kind}" for part in ("norm1", "linear1", "linear2", "norm2") for kind in ("weight", "bias")),
)

Weights = dict[str, torch.Tensor]


def embed(
    checkpoint: Checkpoint,
    tokens: Tokens,
    devices: Sequence[str] = ("cpu",),
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int | None = None,
) -> np.ndarray:
    """Embed cells, with one worker on each device and the layers in `dtype`.

    Parameters
    ----------
    tokens_per_batch
        Tokens at a time (one cell always fits). It bounds the memory and changes the result by rounding only.

    Returns
    -------
    Unit rows, float32, shape (n_cells, width).
    """
    networks = {device: Network(checkpoint, device, dtype) for device in devices}

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        return networks[device].cells(*tokens.of(batch), tokens.lengths[batch])

    def inputs() -> list[Any]:
        return [str(dtype).encode(), tokens.ids, tokens.values]

    return batching.run(forward, tokens.lengths, checkpoint.args.embsize, devices, "cells", tokens_per_batch, inputs)


class Network:
    """The encoder on a device: tables of embedded genes and bins, and the transformer's layers."""

    def __init__(self, checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> None:
        args = checkpoint.args
        self.lowest = min(args.pad_value, 0)
        with torch.inference_mode():
            weights = {name: weight.to(device) for name, weight in checkpoint.weights.items()}
            self.genes = _norm(weights, "encoder.enc_norm", weights["encoder.embedding.weight"])  # (n_tokens, width)
            n_values = STEPS * (max(args.n_bins, args.pad_value + 1) - self.lowest)
            x = (self.lowest + torch.arange(n_values, device=device) / STEPS)[:, None].clamp(max=MAX_VALUE)
            x = _linear(weights, "value_encoder.linear2", F.relu(_linear(weights, "value_encoder.linear1", x)))
            self.values = _norm(weights, "value_encoder.norm", x)  # (n_values, width)
            layers = tuple(
                Layer(*(weights[f"transformer_encoder.layers.{i}.{name}"] for name in LAYER))
                for i in range(args.nlayers)
            )
            self.transformer = Transformer(layers, args.nheads, torch.relu_, EPSILON).to(device, dtype)

    def cells(self, ids: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        """Embed cells whose tokens lie end to end; unit rows, shape (n_cells, width)."""
        device = self.genes.device
        steps = torch.from_numpy((STEPS * (values - self.lowest)).astype(np.int64)).to(device)
        x = F.embedding(torch.from_numpy(ids.astype(np.int64)).to(device), self.genes)
        x = x.add_(F.embedding(steps, self.values)).to(self.transformer.dtype)
        return F.normalize(transformer.encode(self.transformer, x, lengths, first_only=True).float(), dim=1)


def _linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

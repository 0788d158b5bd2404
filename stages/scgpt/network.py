"""scGPT's encoder, from weights to cell embeddings.

The same function as ``TransformerModel._encode`` of scgpt 0.2.4 followed by the division by the L2 norm, without what a
cell embedding does not need: the last layer is computed for ``<cls>`` alone, the embeddings of genes and of bins are
looked up in tables made once, and there is no padding.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from stages.cli import progress
from stages.networks import transformer
from stages.networks.transformer import Layer, Transformer
from stages.scgpt.checkpoint import Checkpoint
from stages.scgpt.tokens import Tokens

#: Upstream clips values there before it embeds them.
MAX_VALUE = 512
EPSILON = 1e-5  # of the norms, torch's default

Weights = dict[str, torch.Tensor]


def embed(checkpoint: Checkpoint, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embed cells.

    Returns
    -------
    Matrix of unit rows, float32, shape (n_cells, width), in the order of the cells.
    """
    config = checkpoint.config
    embeddings = np.empty((len(tokens), config.embsize), dtype=np.float32)
    budget = transformer.TOKENS_PER_BATCH[torch.device(device).type]
    with torch.inference_mode():
        weights = {name: weight.to(device) for name, weight in checkpoint.weights.items()}
        lowest = min(config.pad_value, 0)
        genes = gene_embedding(weights)
        values = value_embedding(weights, torch.arange(lowest, max(config.n_bins, config.pad_value + 1), device=device))
        network = encoder(weights, config.nlayers, config.nheads)
        for batch in progress(list(transformer.batches(tokens.lengths, budget)), "cells", unit="batch"):
            ids, bins = (torch.from_numpy(part.astype(np.int64)).to(device) for part in tokens.of(batch))
            x = F.embedding(ids, genes).add_(F.embedding(bins - lowest, values))
            x = transformer.encode(network, x, tokens.lengths[batch], first_only=True)
            embeddings[batch] = F.normalize(x, dim=1).cpu().numpy()
    return embeddings


def gene_embedding(weights: Weights) -> torch.Tensor:
    """Return the embedding of every token of the vocabulary, shape (n_tokens, width)."""
    return _norm(weights, "encoder.enc_norm", weights["encoder.embedding.weight"])


def value_embedding(weights: Weights, values: torch.Tensor) -> torch.Tensor:
    """Return the embedding of values, shape (n_values, width)."""
    x = values[:, None].to(torch.float32).clamp(max=MAX_VALUE)
    x = _linear(weights, "value_encoder.linear2", F.relu(_linear(weights, "value_encoder.linear1", x)))
    return _norm(weights, "value_encoder.norm", x)


def encoder(weights: Weights, n_layers: int, n_heads: int) -> Transformer:
    """Gather the transformer's weights."""
    parts = ("self_attn.out_proj", "norm1", "linear1", "linear2", "norm2")
    layers = []
    for i in range(n_layers):
        name = f"transformer_encoder.layers.{i}"
        layers.append(
            Layer(
                weights[f"{name}.self_attn.in_proj_weight"],
                weights[f"{name}.self_attn.in_proj_bias"],
                *(weights[f"{name}.{part}.{kind}"] for part in parts for kind in ("weight", "bias")),
            )
        )
    return Transformer(tuple(layers), n_heads, torch.relu_, EPSILON)


def _linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

"""scGPT's encoder, from weights to cell embeddings.

The same function as ``TransformerModel._encode`` of scgpt 0.2.4 followed by the division by the L2 norm, without what a
cell embedding does not need: the last layer is computed for ``<cls>`` alone, the embeddings of genes and of bins are
looked up in tables made once, and cells of like length go through together, so that hardly any padding is computed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from stages.cli import progress
from stages.scgpt.checkpoint import PAD, Checkpoint, Config
from stages.scgpt.tokens import Tokens

#: Tokens in a batch, padding included: enough to keep the processor busy, few enough for its cache.
TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 131072}

#: Upstream clips values there before it embeds them.
MAX_VALUE = 512

Weights = dict[str, torch.Tensor]


def embed(checkpoint: Checkpoint, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embed cells.

    Returns
    -------
    Matrix of unit rows, float32, shape (n_cells, width), in the order of the cells.
    """
    config, pad_id = checkpoint.config, checkpoint.vocab[PAD]
    embeddings = np.empty((len(tokens), config.embsize), dtype=np.float32)
    with torch.inference_mode():
        weights = {name: weight.to(device) for name, weight in checkpoint.weights.items()}
        lowest = min(config.pad_value, 0)
        genes = gene_embedding(weights)
        values = value_embedding(weights, torch.arange(lowest, max(config.n_bins, config.pad_value + 1), device=device))
        for batch in progress(
            batches(tokens.lengths, TOKENS_PER_BATCH[torch.device(device).type]), "cells", unit="batch"
        ):
            ids, bins, padding = (torch.from_numpy(a).to(device) for a in tokens.pad(batch, pad_id, config.pad_value))
            x = F.embedding(ids, genes) + F.embedding(bins - lowest, values)
            embeddings[batch] = F.normalize(encode(weights, config, x, padding), dim=1).cpu().numpy()
    return embeddings


def batches(lengths: np.ndarray, tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Yield the cells in batches, longest first, each of at most `tokens_per_batch` tokens with its padding."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, tokens_per_batch // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def gene_embedding(weights: Weights) -> torch.Tensor:
    """Return the embedding of every token of the vocabulary, shape (n_tokens, width)."""
    return _norm(weights, "encoder.enc_norm", weights["encoder.embedding.weight"])


def value_embedding(weights: Weights, values: torch.Tensor) -> torch.Tensor:
    """Return the embedding of values, shape (n_values, width)."""
    x = values[:, None].to(torch.float32).clamp(max=MAX_VALUE)
    x = _linear(weights, "value_encoder.linear2", F.relu(_linear(weights, "value_encoder.linear1", x)))
    return _norm(weights, "value_encoder.norm", x)


def encode(weights: Weights, config: Config, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
    """Run the transformer and return its output at the first position.

    Parameters
    ----------
    x
        Embedded tokens, shape (n_cells, n_tokens, width).
    padding
        Where tokens are padding, shape (n_cells, n_tokens).
    """
    mask = ~padding[:, None, None, :] if padding.any() else None  # to be seen: for any head, by any query
    for i in range(config.nlayers):
        last = i == config.nlayers - 1
        x = layer(weights, f"transformer_encoder.layers.{i}", x, x[:, :1] if last else x, mask, config.nheads)
    return x[:, 0]


def layer(
    weights: Weights, name: str, x: torch.Tensor, queries: torch.Tensor, mask: torch.Tensor | None, n_heads: int
) -> torch.Tensor:
    """Run one layer, normalised after each half, for the tokens `queries` that look at the tokens `x`."""
    in_weight, in_bias = weights[f"{name}.self_attn.in_proj_weight"], weights[f"{name}.self_attn.in_proj_bias"]
    width = x.shape[-1]
    if queries is x:
        q, k, v = F.linear(x, in_weight, in_bias).chunk(3, dim=-1)
    else:
        q = F.linear(queries, in_weight[:width], in_bias[:width])
        k, v = F.linear(x, in_weight[width:], in_bias[width:]).chunk(2, dim=-1)
    # (n_cells, n_tokens, width) -> (n_cells, n_heads, n_tokens, width / n_heads), and back
    q, k, v = (part.unflatten(-1, (n_heads, -1)).transpose(1, 2) for part in (q, k, v))
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
    x = _norm(weights, f"{name}.norm1", queries + _linear(weights, f"{name}.self_attn.out_proj", attended))
    hidden = F.relu(_linear(weights, f"{name}.linear1", x))
    return _norm(weights, f"{name}.norm2", x + _linear(weights, f"{name}.linear2", hidden))


def _linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

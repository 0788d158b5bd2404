"""A Geneformer encoder: from the files of a ``BertForMaskedLM`` to cell embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genept.core.errors import InputError
from genept.engines.network import batching, bert, transformer
from genept.engines.network.bert import Bert


def load(folder: Path, n_tokens: int) -> Bert:
    """Load the encoder, for a dictionary of `n_tokens`, without its last layer.

    Geneformer's cell embedding is the second-to-last layer (upstream ``emb_layer=-1``), so the last one need not run.
    """
    known = bert.read_config(folder / "config.json")["vocab_size"]
    if known != n_tokens:
        raise InputError(
            f"{folder}: the checkpoint knows {known} tokens, the token dictionary has {n_tokens}; they are not of one "
            "release"
        )
    return bert.read(folder, n_layers_dropped=1)


def embed(
    model: Bert,
    sequences: Sequence[np.ndarray],
    n_framing: int,
    devices: Sequence[str] = ("cpu",),
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int | None = None,
) -> np.ndarray:
    """Average every cell's last hidden states over its genes, with one worker on each device, layers in `dtype`.

    Parameters
    ----------
    sequences
        Tokens of every cell; a cell without any gets a row of zeros.
    n_framing
        Tokens at either end that are no genes and stay out of the mean: 0 for V1, 1 (<cls>, <eos>) for V2.
    tokens_per_batch
        Tokens at a time (one cell always fits). It bounds the memory and changes the result by rounding only.

    Returns
    -------
    Float32, shape (n_cells, width).
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    models = {device: model.to(device, dtype) for device in devices}

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        hidden = models[device].hidden([sequences[row] for row in batch], lengths[batch])
        return transformer.means(hidden, lengths[batch], n_framing)

    def inputs() -> list[Any]:
        return [f"{dtype}, {n_framing}".encode(), *sequences]

    return batching.run(forward, lengths, model.words.shape[1], devices, "cells", tokens_per_batch, inputs)

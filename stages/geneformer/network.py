"""Running a Geneformer encoder over token sequences of unequal length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from stages.cli import progress

if TYPE_CHECKING:
    from transformers import BertModel

TOKENS_PER_BATCH = {"cpu": 8192, "cuda": 131072}


def embed(
    model: BertModel, sequences: Sequence[np.ndarray], n_framing: int, device: str, tokens_per_batch: int | None = None
) -> np.ndarray:
    """Average every cell's last hidden states over its genes.

    Parameters
    ----------
    model
        An encoder whose last layer is the wanted one.
    sequences
        Tokens of every cell; a cell without any gets a row of zeros.
    n_framing
        Tokens at either end that are no genes and stay out of the mean: 0 for V1, 1 (<cls>, <eos>) for V2.
    tokens_per_batch
        Cells times length of the longest, at most (one cell always fits). It bounds the memory and changes the result
        by float32 rounding only.

    Returns
    -------
    Float32, shape (n_cells, hidden_size).
    """
    budget = tokens_per_batch or TOKENS_PER_BATCH.get(device, TOKENS_PER_BATCH["cpu"])
    model.to(torch.device(device))  # type: ignore[arg-type]  # transformers' wrapper hides the method's type
    result = np.zeros((len(sequences), model.config.hidden_size), dtype=np.float32)
    lengths = np.array([len(sequence) for sequence in sequences])
    with torch.inference_mode():
        for rows in progress(list(batches(lengths, budget)), "embedding", unit="batch"):
            tokens, mask = pad([sequences[row] for row in rows])
            hidden = model(input_ids=tokens.to(device), attention_mask=mask.to(device)).last_hidden_state  # (B, L, H)
            position = torch.arange(mask.shape[1])
            last = torch.from_numpy(lengths[rows])[:, None] - n_framing
            is_gene = ((position >= n_framing) & (position < last)).to(device, torch.float64)  # (B, L)
            # Averaged in float64: in float32, a sum over thousands of tokens varies with their padded number.
            mean = (is_gene[:, None] @ hidden.double())[:, 0] / is_gene.sum(dim=1, keepdim=True)
            result[rows] = mean.cpu().numpy()
    return result


def batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Cut the cells that have tokens, longest first, into batches of at most `budget` padded tokens."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        size = max(1, budget // int(lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def pad(sequences: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences of unequal length.

    Returns
    -------
    Tokens, filled up with 0, and a mask that is 1 at real tokens; both int64 of shape (n_sequences, longest).
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, dtype=np.int64)
    tokens[mask] = np.concatenate(sequences)
    return torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64))

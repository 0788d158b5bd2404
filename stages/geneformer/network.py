"""Running a Geneformer encoder over token sequences of unequal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stages.cli import progress
from stages.networks import transformer
from stages.networks.bert import Bert


def embed(
    model: Bert, sequences: Sequence[np.ndarray], n_framing: int, device: str, tokens_per_batch: int | None = None
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
        Tokens at a time (one cell always fits). It bounds the memory and changes the result by float32 rounding only.

    Returns
    -------
    Float32, shape (n_cells, width).
    """
    budget = tokens_per_batch or transformer.TOKENS_PER_BATCH[torch.device(device).type]
    lengths = np.array([len(sequence) for sequence in sequences])
    with torch.inference_mode():
        model = model.to(device)
        result = np.zeros((len(sequences), model.words.shape[1]), dtype=np.float32)
        for rows in progress(list(transformer.batches(lengths, budget)), "embedding", unit="batch"):
            hidden = model.hidden([sequences[row] for row in rows], lengths[rows])
            result[rows] = transformer.means(hidden, lengths[rows], n_framing).cpu().numpy()
    return result

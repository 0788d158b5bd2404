"""Geneformer checkpoints: what transformers writes of a ``BertForMaskedLM``."""

from __future__ import annotations

from pathlib import Path

from genept.core.errors import InputError
from genept.engines.network import bert
from genept.engines.network.bert import Bert


def load(folder: Path, vocabulary_size: int) -> Bert:
    """Load the encoder without its last layer, ready to run.

    Geneformer's cell embedding is the second-to-last layer (upstream ``emb_layer=-1``), so the last one need not run.

    Parameters
    ----------
    vocabulary_size
        Entries of the token dictionary, which the checkpoint must fit.

    Raises
    ------
    InputError
        If the checkpoint is of another release than the dictionary, or see `genept.engines.network.bert.read`.
    """
    config = bert.read_config(folder / "config.json")
    if config["vocab_size"] != vocabulary_size:
        raise InputError(
            f"{folder}: the checkpoint knows {config['vocab_size']} tokens, the token dictionary has "
            f"{vocabulary_size}; they are not of one release"
        )
    return bert.read(folder, n_layers_dropped=1)

"""The ``scgpt`` package itself: its network, to train one and to check ours against. Importing it takes seconds."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core.cli import progress
from genept.core.errors import InputError
from genept.engines.scgpt import torchtext_stand_in
from genept.engines.scgpt.checkpoint import PAD, UNUSED, Checkpoint
from genept.engines.scgpt.tokens import Tokens

if TYPE_CHECKING:
    from scgpt.model import TransformerModel

BATCH_SIZE = 64  # as embed_data


def package() -> Any:
    """Import and return the ``scgpt`` package, without its messages on standard output.

    Raises
    ------
    InputError
        If it is not installed.
    """
    torchtext_stand_in.install()
    logger = logging.getLogger("scGPT")
    if not logger.handlers:  # else the package adds one that writes to standard output
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the missing flash_attn, which is for GPUs and optional
            import scgpt
    except ImportError as error:
        raise InputError(
            f"the scgpt package cannot be imported ({error}); `make setup` installs it, while a bare `pip install "
            "scgpt` does not work because of its outdated pins"
        ) from None
    return scgpt


def network(args: dict[str, Any], n_tokens: int, pad_id: int) -> TransformerModel:
    """Return upstream's network for the settings of ``args.json``, with fresh weights, as ``embed_data`` makes it."""
    return package().model.TransformerModel(
        ntoken=n_tokens,
        d_model=args["embsize"],
        nhead=args["nheads"],
        d_hid=args["d_hid"],
        nlayers=args["nlayers"],
        nlayers_cls=args.get("n_layers_cls", 3),
        vocab={PAD: pad_id},  # all that it asks of the vocabulary
        dropout=args.get("dropout", 0.0),
        pad_token=PAD,
        pad_value=args["pad_value"],
        do_mvc=True,
        use_fast_transformer=False,
    )


def embed(checkpoint: Checkpoint, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embed cells with upstream's network: the same input and output as `genept.engines.scgpt.network.embed`."""
    config, pad_id = checkpoint.config, checkpoint.vocab[PAD]
    model = network(vars(config), len(checkpoint.weights["encoder.embedding.weight"]), pad_id)
    wrong = model.load_state_dict(checkpoint.weights, strict=False)
    assert not wrong.unexpected_keys and all(name.startswith(UNUSED) for name in wrong.missing_keys)
    model.to(device).eval()
    embeddings = np.empty((len(tokens), config.embsize), dtype=np.float32)
    starts = range(0, len(tokens), BATCH_SIZE)
    with torch.inference_mode(), without_fused_layers():
        for start in progress(starts, "cells", unit="batch"):
            cells = np.arange(start, min(start + BATCH_SIZE, len(tokens)))
            ids, values, padding = (torch.from_numpy(a).to(device) for a in tokens.pad(cells, pad_id, config.pad_value))
            output = model._encode(ids, values, padding)
            embeddings[cells] = torch.nn.functional.normalize(output[:, 0], dim=1).cpu().numpy()
    return embeddings


@contextlib.contextmanager
def without_fused_layers() -> Iterator[None]:
    """Turn off torch's fused encoder layer, which on a processor takes several times as long for the same numbers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)

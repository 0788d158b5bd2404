"""What the tests of scGPT share.

``fixtures/scgpt`` holds two cells of Qian et al. 2020 (raw counts of the vocabulary genes they express), a random
checkpoint of 2 layers x 32, its vocabulary cut to those genes, and what scgpt 0.2.4 made of them: ``drawn_*`` are the
inputs and outputs of its ``embed_data`` with numpy's seed 0, ``fixed_*`` those of its network for bins without draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from genept.engines.scgpt import checkpoint, upstream
from genept.engines.scgpt.config import Model
from genept.engines.scgpt.tokens import Tokens

FIXTURES = Path(__file__).parents[2] / "fixtures" / "scgpt"
ARGS: dict[str, Any] = {
    "pad_token": "<pad>",
    "input_emb_style": "continuous",
    "n_bins": 51,
    "nlayers": 3,
    "nheads": 2,
    "embsize": 16,
    "d_hid": 24,
    "dropout": 0.2,
    "n_layers_cls": 3,
    "pad_value": -2,
}
N_TOKENS = 20_000
SYMBOLS = [f"GENE{i}" for i in range(60)]


def config(**embed: object) -> Model:
    return Model.parse({"title": "t", "engine": "scgpt", "embed": embed}, "models/m.yaml")


def as_tokens(ids: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Tokens:
    real = np.arange(ids.shape[1]) < lengths[:, None]
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Tokens(ids[real].astype(np.int32), values[real].astype(np.int16), starts, lengths - 1)


def upstream_model(
    seed: int = 0, args: dict[str, Any] = ARGS, symbols: list[str] = SYMBOLS
) -> tuple[Any, dict[str, int]]:
    """Upstream's network with random weights, of which none is trivial."""
    vocab = {token: i for i, token in enumerate([*symbols, *checkpoint.SPECIAL_TOKENS])}
    torch.manual_seed(seed)
    model = upstream.network(checkpoint.Args(**args), len(vocab), vocab["<pad>"])
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval(), vocab


def change(saved: Path, folder: Path, weights: dict[str, torch.Tensor | None] | None = None) -> Path:
    """Copy the saved checkpoint with some weights replaced, added, or (None) left out."""
    state = checkpoint.read_weights(saved / "best_model.pt") | (weights or {})
    present = {name: weight for name, weight in state.items() if weight is not None}
    checkpoint.write(folder, ARGS, checkpoint.read_vocab(saved / "vocab.json"), present)
    return folder


def random_tokens(n_cells: int, seed: int = 0, longest: int = 40) -> Tokens:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest, n_cells)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, len(SYMBOLS), starts[-1]).astype(np.int32)
    values = rng.integers(1, 51, starts[-1]).astype(np.int16)
    ids[starts[:-1]], values[starts[:-1]] = len(SYMBOLS) + 1, -2
    return Tokens(ids, values, starts, lengths - 1)


def counts(n_cells: int = 12, seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    x = sp.csr_matrix(rng.poisson(rng.gamma(1.0, 2.0, (n_cells, len(SYMBOLS)))).astype(np.float32))
    data = anndata.AnnData(x, pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]), pd.DataFrame(index=SYMBOLS))
    data.uns["x"] = "counts"
    return data

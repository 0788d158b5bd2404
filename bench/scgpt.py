"""scGPT: cells to embeddings, and cells to tokens, against the ``scgpt`` package as published."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

from bench import bounds
from bench.case import FLOAT32, Case
from genept.engines.network.transformer import PRECISIONS
from genept.engines.scgpt import checkpoint, tokens, upstream
from genept.engines.scgpt.embed import encode
from genept.engines.scgpt.tokens import Tokens

#: What of the released whole-human model's args.json its network and cells depend on.
RELEASED_ARGS: dict[str, Any] = {
    "pad_token": "<pad>",
    "input_emb_style": "continuous",
    "n_bins": 51,
    "nlayers": 12,
    "nheads": 8,
    "embsize": 512,
    "d_hid": 512,
    "dropout": 0.2,
    "n_layers_cls": 3,
    "pad_value": -2,
}
PUBLISHED = "embed_data as published"
WITHOUT_FAST_PATH = "embed_data, torch's fast path off"
COLLATOR = "Dataset and DataCollator"

MAX_LENGTH = 1200  # as embed_data
N_FEW = 2


def embedding(
    cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,), device: str = "cpu", **sizes: Any
) -> Case:
    """Compare the way from cells and a checkpoint's files to embeddings; `sizes` replace those of `RELEASED_ARGS`.

    On a GPU upstream runs as published: float16 where autocast takes it, batches of 64.
    """
    args = RELEASED_ARGS | sizes
    write(folder, cells, args)
    lengths = np.minimum(np.diff(cells.X.indptr) + 1, MAX_LENGTH)
    flops = bounds.transformer_flops(lengths, args["embsize"], args["d_hid"], args["nlayers"], first_only=True)
    paths = {PUBLISHED: True} | ({WITHOUT_FAST_PATH: False} if device == "cpu" else {})
    return Case(
        cells=cells,
        few=without_draws(cells[:N_FEW].copy(), MAX_LENGTH),
        n_cells=cells.n_obs,
        ours={name: partial(embed, folder=folder, dtype=PRECISIONS[name], device=device) for name in precisions},
        upstream={
            name: partial(upstream_embed, folder=folder, device=device, fast=fast) for name, fast in paths.items()
        },
        draws=True,
        flops=flops,
        bound=lambda rates: flops / rates.of(device),
    )


def tokenisation(cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,)) -> Case:
    """Compare the way from expression and the genes' ids to ids and bins of cells. `folder` is not used."""
    vocab = vocabulary(cells)
    given: dict[str, Any] = {"vocab": vocab, "gene_ids": numbers(cells, vocab), "args": RELEASED_ARGS}
    return Case(
        cells=cells,
        few=without_draws(cells[:N_FEW].copy(), MAX_LENGTH),
        n_cells=cells.n_obs,
        ours={FLOAT32: partial(tokenise, **given)},
        upstream={COLLATOR: partial(upstream_tokenise, **given)},
        draws=True,
        difference=token_difference,
    )


def vocabulary(cells: AnnData) -> dict[str, int]:
    """Number the cells' genes and the special tokens."""
    return {token: number for number, token in enumerate([*cells.var_names, *checkpoint.SPECIAL_TOKENS])}


def write(folder: Path, cells: AnnData, args: dict[str, Any]) -> None:
    """Write a checkpoint with random weights, those of upstream's fresh network, that knows the cells' genes."""
    vocab = vocabulary(cells)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = upstream.network(checkpoint.Args(**args), len(vocab), vocab[checkpoint.PAD])
    checkpoint.write(folder, args, vocab, model.state_dict())


def without_draws(cells: AnnData, max_length: int) -> AnnData:
    """Change cells so that no bin is drawn and no gene left out: the answers of all sides can be compared.

    A cell keeps its first `max_length` - 1 genes, and gets other, distinct values for them: equal values are what
    bins are drawn for.
    """
    x = cells.X.tocsr()
    rng = np.random.default_rng(0)
    columns = [x.indices[start:stop][: max_length - 1] for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True)]
    values = [1 + rng.permutation(len(part)) for part in columns]
    ends = np.cumsum([0, *map(len, columns)])
    cells.X = sp.csr_matrix((np.concatenate(values).astype(np.float32), np.concatenate(columns), ends), shape=x.shape)
    return cells


def embed(cells: AnnData, folder: Path, dtype: torch.dtype, device: str = "cpu") -> np.ndarray:
    """Embed cells by our side."""
    model = checkpoint.read(folder)
    return encode(
        model, tokenise(cells, model.vocab, numbers(cells, model.vocab), model.args.model_dump()), [device], dtype
    )


def upstream_embed(cells: AnnData, folder: Path, device: str = "cpu", fast: bool = True) -> np.ndarray:
    """Embed cells by the function that upstream documents; it also writes into the cells, so it gets a copy.

    On a processor it is several times as fast without torch's "fast" path.
    """
    embed_data = upstream.package().tasks.embed_data
    with contextlib.nullcontext() if fast else upstream.without_fused_layers():
        done = embed_data(cells.copy(), folder, gene_col="index", device=device, use_fast_transformer=False)
    return done.obsm["X_scGPT"]


def numbers(cells: AnnData, vocab: dict[str, int]) -> np.ndarray:
    """Return the vocabulary id of every gene, -1 outside the vocabulary."""
    return np.array([vocab.get(symbol, -1) for symbol in cells.var_names], dtype=np.int32)


def tokenise(cells: AnnData, vocab: dict[str, int], gene_ids: np.ndarray, args: dict[str, Any]) -> Tokens:
    """Turn cells into tokens by our side."""
    return tokens.tokenise(
        cells.X,
        list(cells.obs_names),
        gene_ids,
        cls_id=vocab[checkpoint.CLS],
        pad_value=args["pad_value"],
        n_bins=args["n_bins"],
        max_length=MAX_LENGTH,
        seed=0,
    )


class TokenReader:
    """A network in name only: keeps the batches of tokens that upstream's function brings it."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.batches: list[tuple[torch.Tensor, torch.Tensor]] = []

    def parameters(self) -> Iterator[torch.Tensor]:
        """Give a tensor, by which upstream finds out the device."""
        yield torch.empty(0)

    def _encode(self, ids: torch.Tensor, values: torch.Tensor, **_: Any) -> torch.Tensor:
        self.batches.append((ids, values))
        return torch.ones(len(ids), 1, self.width)


def upstream_tokenise(
    cells: AnnData, vocab: dict[str, int], gene_ids: np.ndarray, args: dict[str, Any]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Turn cells into padded batches of ids and values by upstream's own function, in this process.

    The function makes as many loading processes as it may use processors; told that there are none, it makes none.
    """
    read = upstream.package().tasks.get_batch_cell_embeddings
    reader = TokenReader(args["embsize"])
    with mock.patch.object(os, "sched_getaffinity", lambda _: set(), create=True):
        read(cells, model=reader, vocab=vocab, max_length=MAX_LENGTH, model_configs=args, gene_ids=gene_ids)
    return reader.batches


def token_difference(ours: Tokens, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the largest difference of a bin; infinite if a cell has other genes, or in another order."""
    rows = [row for ids, values in batches for row in zip(ids.numpy(), values.numpy(), strict=True)]
    if len(rows) != len(ours):
        return np.inf
    largest = 0.0
    for cell, (ids, values) in enumerate(rows):
        found_ids, found_values = ours.of(np.array([cell]))
        n = len(found_ids)
        if not np.array_equal(found_ids, ids[:n]) or len(np.unique(ids[n:])) > 1:
            return np.inf
        largest = max(largest, float(np.abs(found_values - values[:n]).max()))
    return largest

"""Geneformer embeddings of cells, from a checkpoint in the released layout, the files of a ``BertForMaskedLM``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import compute
from genept.core.errors import InputError
from genept.data.expression import coverage
from genept.engines.geneformer import dictionaries, ranking
from genept.engines.network import batching, bert, transformer
from genept.engines.network.bert import Bert

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.engines.geneformer.config import Model


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as Geneformer does: mean over a cell's gene tokens of the second-to-last layer.

    Upstream: ``EmbExtractor(emb_mode="cell", emb_layer=-1)``. The dictionary decides between V1 and V2 rules (V2: <cls>
    and <eos> around the genes, left out of the mean), the checkpoint's ``max_position_embeddings`` the longest cell.

    `cells` have raw counts and ``var['ensembl_id']``, empty where unknown; log-normalised values run too and are marked
    as not comparable, since the medians are of counts. `folder` has ``config.json``, weights, token and median
    dictionaries. A cell without any gene that has a token gets zeros.
    """
    dtype = transformer.PRECISIONS[config.embed.precision]
    workers = compute.workers(device)
    entries = dictionaries.read(folder)
    genes = ranking.match(cells.var["ensembl_id"].astype(str).tolist(), entries)
    seen = coverage(cells, genes.has_token)
    model = load(folder, len(entries.tokens))
    max_length = len(model.positions)
    sequences, n_truncated = ranking.rank(cells.X.tocsr(), genes, entries, max_length)
    n_framing = int(entries.version == "V2")
    matrix = encode(model, sequences, n_framing, workers, dtype)
    notes = {
        "version": entries.version,
        "device": compute.describe_devices(workers),
        "max_length": max_length,
        "layer": len(model.transformer.layers),
        **seen,
        "n_cells_truncated": n_truncated,
        "mean_length": round(float(np.mean([len(sequence) for sequence in sequences])), 2),
        "comparable": cells.uns.get("x") != "lognorm",
    }
    if dtype is not torch.float32:
        some = transformer.rows_to_compare(len(sequences))
        exact = encode(model, [sequences[i] for i in some], n_framing, workers)
        notes["against_float32"] = transformer.distance(matrix[some], exact)
    if not notes["comparable"]:
        notes["reason"] = "Geneformer ranks raw counts; this dataset holds log-normalised values"
    return matrix, notes


def load(folder: Path, n_tokens: int) -> Bert:
    """Load the encoder, for a dictionary of `n_tokens`, without its last layer.

    Geneformer's cell embedding is the second-to-last layer (upstream ``emb_layer=-1``), so the last one need not run.
    """
    known = bert.read_config(folder / "config.json")["vocab_size"]
    if known != n_tokens:
        both = f"the checkpoint knows {known} tokens, the token dictionary has {n_tokens}"
        raise InputError(f"{folder}: {both}; they are not of one release")
    return bert.read(folder, n_layers_dropped=1)


def encode(
    model: Bert,
    sequences: Sequence[np.ndarray],
    n_framing: int,
    workers: Sequence[str] = ("cpu",),
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int | None = None,
) -> np.ndarray:
    """Average every cell's last hidden states over its genes, with one worker on each device, layers in `dtype`.

    `n_framing` tokens at either end of a cell are no genes: 0 for V1, 1 (<cls>, <eos>) for V2. Returns
    `genept.engines.network.batching.run`: float32, shape (n_cells, width).
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    models = {worker: model.to(worker, dtype) for worker in workers}

    def forward(worker: str, batch: np.ndarray) -> torch.Tensor:
        hidden = models[worker].hidden([sequences[row] for row in batch], lengths[batch])
        return transformer.means(hidden, lengths[batch], n_framing)

    def inputs() -> list[Any]:
        return [f"{dtype}, {n_framing}".encode(), *sequences]

    return batching.run(forward, lengths, model.width, workers, "cells", tokens_per_batch, inputs)

"""Geneformer embeddings of cells, from a checkpoint in the released layout, the files of a ``BertForMaskedLM``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import compute
from genept.core.errors import InputError, ParamsError
from genept.core.notes import Mean, Total
from genept.data.expression import coverage
from genept.engines.geneformer import dictionaries, logarithms, ranking
from genept.engines.network import batching, bert, transformer
from genept.engines.network.bert import Bert

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    from genept.data.cells import Cells
    from genept.engines.geneformer.config import Model


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as Geneformer does, from the second-to-last layer (upstream: ``EmbExtractor(emb_layer=-1)``).

    ``emb_mode: cell`` is the mean over a cell's gene tokens, ``cls`` the state of <cls>. Upstream's default is ``cls``
    for V2 and ``cell`` for V1, which has no <cls>. The dictionary decides between V1 and V2 rules (V2: <cls> and <eos>
    around the genes, left out of the mean), the checkpoint's ``max_position_embeddings`` the longest cell.

    `cells` have raw counts and ``var['ensembl_id']``, empty where unknown. Log-normalised values are turned back into
    counts (`genept.engines.geneformer.logarithms`); where that is impossible they are ranked as they are and marked as
    not comparable, since the medians are of counts. `folder` has ``config.json``, weights, token and median
    dictionaries. A cell without any gene that has a token gets zeros. `ParamsError` for ``cls`` without <cls>.
    """
    dtype = transformer.PRECISIONS[config.embed.precision]
    workers = compute.workers(device)
    entries = dictionaries.read(folder)
    mode = config.embed.emb_mode or ("cls" if entries.version == "V2" else "cell")
    if mode == "cls" and entries.version == "V1":
        raise ParamsError("embed.emb_mode: cls is for V2; the V1 dictionary has no <cls>, use cell")
    genes = ranking.match(cells.var["ensembl_id"].astype(str).tolist(), entries)
    seen = coverage(cells, genes.has_token)
    model = load(folder, len(entries.tokens))
    max_length = len(model.positions)
    values, origin = counts_of(cells)
    sequences, n_truncated = ranking.rank(values, genes, entries, max_length)
    n_framing = None if mode == "cls" else int(entries.version == "V2")
    matrix = encode(model, sequences, n_framing, workers, dtype)
    notes = {
        "version": entries.version,
        "emb_mode": mode,
        "device": compute.describe_devices(workers),
        "max_length": max_length,
        "layer": len(model.transformer.layers),
        **seen,
        "n_cells_truncated": Total(n_truncated),
        "mean_length": Mean(sum(map(len, sequences)), len(sequences), digits=2),
        **origin,
    }
    if dtype is not torch.float32:
        some = transformer.rows_to_compare(len(sequences))
        exact = encode(model, [sequences[i] for i in some], n_framing, workers)
        notes["against_float32"] = transformer.distance(matrix[some], exact)
    return matrix, notes


def survey(cells: Cells, sums: dict[str, np.ndarray], config: Model) -> dict[str, Any]:
    """Find out whether all log-normalised cells have counts, and which base, before some are embedded after others."""
    if cells.uns.get("x") != "lognorm":
        return {}
    base, reason = logarithms.survey(part.X.tocsr() for part in cells)
    return {"log_base": base, "log_reason": reason}


def counts_of(cells: AnnData) -> tuple[csr_matrix, dict[str, Any]]:
    """Return counts, or what stands for them, and notes: whether ranks are those of counts, and by what or why not."""
    x = cells.X.tocsr()
    if cells.uns.get("x") != "lognorm":
        return x, {"comparable": True}
    known, counts, found = cells.uns.get("log_base"), None, cells.uns.get("log_reason", "")
    if known != "":  # of some cells, `survey` has looked at all
        counts, found = logarithms.counts_of(x, [known] if known else logarithms.BASES)
    if counts is None:
        reason = f"Geneformer ranks raw counts; this dataset holds log-normalised values, and {found}"
        return x, {"comparable": False, "reason": reason}
    return counts, {"comparable": True, "counts_from": f"expm1, base {found}"}


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
    n_framing: int | None,
    workers: Sequence[str] = ("cpu",),
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int | None = None,
) -> np.ndarray:
    """Average every cell's last hidden states over its genes, with one worker on each device, layers in `dtype`.

    `n_framing` tokens at either end of a cell are no genes: 0 for V1, 1 (<cls>, <eos>) for V2; None takes the first
    token's state, <cls>, in place of the mean. Returns `genept.engines.network.batching.run`: float32, shape (n_cells,
    width).
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    models = {worker: model.to(worker, dtype) for worker in workers}

    def forward(worker: str, batch: np.ndarray) -> torch.Tensor:
        some = [sequences[row] for row in batch]
        if n_framing is None:
            return models[worker].hidden(some, lengths[batch], first_only=True).float()
        return transformer.means(models[worker].hidden(some, lengths[batch]), lengths[batch], n_framing)

    def inputs() -> list[Any]:
        return [f"{dtype}, {n_framing}".encode(), *sequences]

    return batching.run(forward, lengths, model.width, workers, "cells", tokens_per_batch, inputs)

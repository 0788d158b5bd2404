"""Geneformer embeddings of cells, from a checkpoint in the released layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core import compute
from genept.data.expression import coverage
from genept.engines.geneformer import dictionaries, network, ranking
from genept.engines.network import precision

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.engines.geneformer.config import Model


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as Geneformer does: mean over a cell's gene tokens of the second-to-last layer.

    Upstream: ``EmbExtractor(emb_mode="cell", emb_layer=-1)``. The dictionary decides between V1 and V2 rules (V2: <cls>
    and <eos> around the genes, left out of the mean), the checkpoint's ``max_position_embeddings`` the longest cell.

    Parameters
    ----------
    cells
        Raw counts with ``var['ensembl_id']``, empty where unknown. Log-normalised values run too and are marked as not
        comparable, since the medians are of counts.
    folder
        The model's folder: ``config.json``, weights, token and median dictionaries.

    Returns
    -------
    Float32 matrix of shape (n_cells, hidden_size), zero for a cell without any gene that has a token, and notes.
    """
    dtype = getattr(torch, config.embed.precision)
    workers = compute.workers(device)
    entries = dictionaries.read(folder)
    genes = ranking.match(cells.var["ensembl_id"].astype(str).tolist(), entries)
    seen = coverage(cells, genes.has_token)
    model = network.load(folder, len(entries.tokens))
    max_length = len(model.positions)
    sequences, n_truncated = ranking.rank(cells.X.tocsr(), genes, entries, max_length)
    n_framing = int(entries.version == "V2")
    matrix = network.embed(model, sequences, n_framing, workers, dtype)
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
        some = precision.compared(len(sequences))
        exact = network.embed(model, [sequences[i] for i in some], n_framing, workers)
        notes["against_float32"] = precision.difference(matrix[some], exact)
    if not notes["comparable"]:
        notes["reason"] = "Geneformer ranks raw counts; this dataset holds log-normalised values"
    return matrix, notes

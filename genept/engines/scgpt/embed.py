"""scGPT embeddings of cells, from a checkpoint in the released layout.

`Network` is the same function as ``TransformerModel._encode`` of scgpt 0.2.4 followed by the division by the L2 norm,
without what a cell embedding does not need: the last layer is computed for ``<cls>`` alone, the embeddings of genes and
of bins are looked up in tables made once, and there is no padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from genept.core import compute
from genept.core.notes import Mean, Total
from genept.data.expression import coverage
from genept.engines.network import batching, transformer
from genept.engines.network.transformer import Layer, Transformer
from genept.engines.scgpt import checkpoint, tokens
from genept.engines.scgpt.checkpoint import Checkpoint
from genept.engines.scgpt.tokens import Tokens

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.engines.scgpt.config import Model

MAX_VALUE = 512  # where upstream clips values before it embeds them
EPSILON = 1e-5  # of the norms, torch's default
STEPS = 2  # values looked up per bin: an expected bin may lie half-way between two

LAYER = (
    *("self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight", "self_attn.out_proj.bias"),
    *(f"{part}.{kind}" for part in ("norm1", "linear1", "linear2", "norm2") for kind in ("weight", "bias")),
)


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Embed cells as scGPT does: the encoder's output for ``<cls>``, with unit L2 norm.

    Upstream: ``scgpt.tasks.embed_data`` with the symbols of the published file. Deviations: a gene is looked up by its
    approved symbol first, then by its name in the file (`find_genes`), upstream knows the latter only; draws belong to
    the cell (`genept.engines.scgpt.binning`); a checkpoint that is not whole is refused; the number of bins is the
    checkpoint's, upstream always takes 51; float32 on a GPU too, upstream takes float16; a cell without any gene of the
    vocabulary, at which upstream fails, gets zeros.

    Counts and log-normalised values give the same bins, but for rounding. ``original_symbol`` in ``cells.var`` has the
    names of the published file. `folder` has ``args.json``, ``vocab.json`` and ``best_model.pt``.
    """
    settings = config.embed
    workers = compute.workers(device)
    model = checkpoint.read(folder)
    old_names = [str(name) for name in cells.var.get("original_symbol", cells.var_names)]
    gene_ids, n_by_old_name = find_genes(list(cells.var_names), old_names, model.vocab)
    notes = {
        "implementation": settings.implementation,
        "device": compute.describe_devices(workers),
        "seed": settings.seed,
        "binning": settings.binning,
        "max_length": settings.max_length,
        "n_bins": model.args.n_bins,
        **coverage(cells, gene_ids >= 0),
        "n_genes_by_old_name": n_by_old_name,
    }
    sequences = tokens.tokenise(
        cells.X,
        list(cells.obs_names),
        gene_ids,
        cls_id=model.vocab[checkpoint.CLS],
        pad_value=model.args.pad_value,
        n_bins=model.args.n_bins,
        max_length=settings.max_length,
        seed=settings.seed,
        drawn=settings.binning == "drawn",
    )
    if settings.implementation == "upstream":
        from genept.engines.scgpt import upstream

        matrix = upstream.embed(model, sequences, workers[0])
    else:
        dtype = transformer.PRECISIONS[settings.precision]
        matrix = encode(model, sequences, workers, dtype)
        if dtype is not torch.float32:
            some = transformer.rows_to_compare(len(sequences))
            exact = encode(model, sequences.take(some), workers)
            notes["against_float32"] = transformer.distance(matrix[some], exact)
    matrix[sequences.n_expressed == 0] = 0
    notes |= {
        "n_cells_truncated": Total((sequences.n_expressed + 1 > settings.max_length).sum()),
        "mean_length": Mean(sequences.lengths.sum(), len(sequences), digits=2),
        "comparable": True,
    }
    if cells.uns["x"] == "lognorm":
        reason = "scGPT reads each cell's values as bins between their own quantiles, which log-normalisation does not"
        notes["reason"] = f"{reason} change"
    return matrix, notes


def find_genes(symbols: Sequence[str], originals: Sequence[str], vocab: Mapping[str, int]) -> tuple[np.ndarray, int]:
    """Look genes up in a vocabulary: by the approved symbol, else by the name in the published file.

    A released vocabulary is older than HGNC's newest symbols, as the published files are. An old name counts only if it
    names one gene: not if it is another gene's approved symbol, nor if two genes share it that have no other name in
    the vocabulary; then neither is found.

    `symbols` are approved, all different, `originals` the names in the published file, one of each per gene. Returns
    the number of each gene's token, -1 for genes outside the vocabulary, shape (n_genes,), int32; and how many genes
    were found by their old name.
    """
    approved = [vocab.get(symbol, -1) for symbol in symbols]
    old = [vocab.get(name, -1) if token < 0 else -1 for name, token in zip(originals, approved, strict=True)]
    uses = Counter([*approved, *old])
    old = [token if uses[token] == 1 else -1 for token in old]
    ids = np.maximum(np.array(approved, dtype=np.int32), np.array(old, dtype=np.int32))
    return ids, sum(token >= 0 for token in old)


def encode(
    model: Checkpoint,
    cells: Tokens,
    workers: Sequence[str] = ("cpu",),
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int | None = None,
) -> np.ndarray:
    """Embed cells, with one worker on each device and the layers in `dtype`.

    Returns `genept.engines.network.batching.run`: unit rows, float32, shape (n_cells, width).
    """
    networks = {worker: Network(model, worker, dtype) for worker in workers}

    def forward(worker: str, batch: np.ndarray) -> torch.Tensor:
        return networks[worker].cells(*cells.of(batch), cells.lengths[batch])

    def inputs() -> list[Any]:
        return [str(dtype).encode(), cells.ids, cells.values]

    return batching.run(forward, cells.lengths, model.args.embsize, workers, "cells", tokens_per_batch, inputs)


class Network:
    """The encoder on a device: tables of embedded genes and bins, and the transformer's layers."""

    def __init__(self, checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> None:
        args = checkpoint.args
        self.lowest = min(args.pad_value, 0)
        with torch.inference_mode():
            weights = {name: weight.to(device) for name, weight in checkpoint.weights.items()}
            self.genes = _norm(weights, "encoder.enc_norm", weights["encoder.embedding.weight"])  # (n_tokens, width)
            n_values = STEPS * (max(args.n_bins, args.pad_value + 1) - self.lowest)
            x = (self.lowest + torch.arange(n_values, device=device) / STEPS)[:, None].clamp(max=MAX_VALUE)
            x = _linear(weights, "value_encoder.linear2", F.relu(_linear(weights, "value_encoder.linear1", x)))
            self.values = _norm(weights, "value_encoder.norm", x)  # (n_values, width)
            layers = tuple(
                Layer(*(weights[f"transformer_encoder.layers.{i}.{name}"] for name in LAYER))
                for i in range(args.nlayers)
            )
            self.transformer = Transformer(layers, args.nheads, torch.relu_, EPSILON).to(device, dtype)

    def cells(self, ids: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        """Embed cells whose tokens lie end to end; unit rows, shape (n_cells, width)."""
        device = self.genes.device
        steps = torch.from_numpy((STEPS * (values - self.lowest)).astype(np.int64)).to(device)
        x = F.embedding(torch.from_numpy(ids.astype(np.int64)).to(device), self.genes)
        x = x.add_(F.embedding(steps, self.values)).to(self.transformer.dtype)
        return F.normalize(transformer.encode(self.transformer, x, lengths, first_only=True).float(), dim=1)


def _linear(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

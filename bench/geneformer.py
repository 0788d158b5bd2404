"""Geneformer: cells to embeddings and cells to tokens, against transformers' network and the documented ranking."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

from bench import bounds
from bench.case import FLOAT32, Case, relative_difference
from genept.engines.geneformer import dictionaries, ranking
from genept.engines.geneformer import embed as engine
from genept.engines.geneformer.dictionaries import MASK, PAD, Dictionaries
from genept.engines.network.transformer import PRECISIONS

PADDED = "transformers BertModel, padded batches"
PER_CELL = "its steps in numpy, cell by cell"

#: Sizes of the first release.
SIZES: dict[str, Any] = {
    "vocab_size": 25426,
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "hidden_act": "relu",
    "max_position_embeddings": 2048,
}
BATCH_SIZE = 64
N_FEW = 2


def embedding(
    cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,), device: str = "cpu", **sizes: Any
) -> Case:
    """Compare the way from cells and a checkpoint's files to embeddings; `sizes` replace those of `SIZES`."""
    size = SIZES | sizes
    entries = make_dictionaries(cells, size["vocab_size"])
    write(folder, entries, size)
    ranked = upstream_rank(cells.X, upstream_match(cells, entries), size["max_position_embeddings"])
    lengths = np.array([len(cell) for cell in ranked])
    n_layers = size["num_hidden_layers"] - 1
    flops = bounds.transformer_flops(lengths, size["hidden_size"], size["intermediate_size"], n_layers)
    return Case(
        cells=cells,
        few=cells[:N_FEW].copy(),
        n_cells=cells.n_obs,
        ours={name: partial(embed, folder=folder, dtype=PRECISIONS[name], device=device) for name in precisions},
        upstream={PADDED: partial(upstream_embed, folder=folder, entries=entries, device=device)},
        flops=flops,
        bound=lambda rates: flops / rates.of(device),
    )


def tokenisation(cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,)) -> Case:
    """Compare the way from expression and the columns' tokens to ranked genes. `folder` is not used."""
    entries = make_dictionaries(cells, SIZES["vocab_size"])
    max_length = SIZES["max_position_embeddings"]
    genes, columns = ranking.match(list(cells.var["ensembl_id"]), entries), upstream_match(cells, entries)
    return Case(
        cells=cells,
        few=cells[:N_FEW].copy(),
        n_cells=cells.n_obs,
        ours={FLOAT32: lambda some: (some, ranking.rank(some.X, genes, entries, max_length)[0])},
        upstream={PER_CELL: lambda some: upstream_rank(some.X, columns, max_length)},
        difference=partial(rank_difference, entries=entries),
    )


def make_dictionaries(cells: AnnData, n_tokens: int) -> Dictionaries:
    """Give the cells' genes, and made-up ones up to `n_tokens`, a token and a random median; V1's special tokens."""
    known = sorted({gene for gene in cells.var["ensembl_id"].astype(str) if gene})
    genes = known + [f"made_up_{i}" for i in range(n_tokens - 2 - len(known))]
    medians = np.random.default_rng(0).lognormal(0.5, 0.5, len(genes))
    tokens = {token: number for number, token in enumerate([PAD, MASK, *genes])}
    return Dictionaries(tokens, dict(zip(genes, medians.tolist(), strict=True)))


def write(folder: Path, entries: Dictionaries, size: dict[str, Any]) -> None:
    """Write a checkpoint with random weights, as transformers makes them, and its dictionaries."""
    from transformers import BertConfig, BertForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(pad_token_id=entries.tokens[PAD], **size)).save_pretrained(folder)
    dictionaries.write(folder, entries.tokens, entries.medians)


def embed(cells: AnnData, folder: Path, dtype: torch.dtype, device: str = "cpu") -> np.ndarray:
    """Embed cells by our side."""
    entries = dictionaries.read(folder)
    model = engine.load(folder, len(entries.tokens))
    genes = ranking.match(list(cells.var["ensembl_id"]), entries)
    sequences, _ = ranking.rank(cells.X, genes, entries, len(model.positions))
    return engine.encode(model, sequences, 0, [device], dtype)


def upstream_embed(cells: AnnData, folder: Path, entries: Dictionaries, device: str = "cpu") -> np.ndarray:
    """Embed cells as upstream's ``EmbExtractor`` does: longest first, padded batches, all hidden states kept.

    The mean over a cell's tokens of the second-to-last layer. Upstream also runs the masked-gene head over its whole
    vocabulary and throws that away; here it is spared.
    """
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval().to(device)
    sequences = upstream_rank(cells.X, upstream_match(cells, entries), model.config.max_position_embeddings)
    order = np.argsort([-len(sequence) for sequence in sequences], kind="stable")
    embeddings = np.empty((len(sequences), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        tokens = [torch.from_numpy(sequences[cell]) for cell in batch]
        ids = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=entries.tokens[PAD]).to(device)
        mask = ids != entries.tokens[PAD]
        with torch.no_grad():
            hidden = model(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states[-2]
        means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        embeddings[batch] = means.cpu().numpy()
    return embeddings


def upstream_match(cells: AnnData, entries: Dictionaries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which columns have a token, and those columns' tokens and medians."""
    known = cells.var["ensembl_id"].isin(list(entries.medians)).to_numpy()
    names = cells.var["ensembl_id"][known]
    return known, names.map(entries.tokens).to_numpy(), names.map(entries.medians).to_numpy()


def upstream_rank(
    x: sp.csr_matrix, columns: tuple[np.ndarray, np.ndarray, np.ndarray], max_length: int
) -> list[np.ndarray]:
    """Turn cells into tokens as the method is described, cell by cell."""
    known, numbers, medians = columns
    sequences = []
    for row in x:
        counts = row.toarray().ravel().astype(np.float64)
        values = counts[known] / counts.sum() * 10_000 / medians
        expressed = np.flatnonzero(values)
        sequences.append(numbers[expressed[np.argsort(-values[expressed])]][:max_length])
    return sequences


def rank_difference(ours: tuple[AnnData, list[np.ndarray]], upstream: list[np.ndarray], entries: Dictionaries) -> float:
    """Return the largest relative difference of the values that the two sides rank at the same place.

    Genes of equal value may come in any order, so the values are compared rather than the genes. Infinite if a cell
    has another number of genes, or one twice.
    """
    cells, sequences = ours
    column = {entries.tokens[name]: i for i, name in enumerate(cells.var["ensembl_id"]) if name in entries.medians}
    median = {entries.tokens[gene]: value for gene, value in entries.medians.items()}
    largest = 0.0
    for row, a, b in zip(cells.X, sequences, upstream, strict=True):
        counts = row.toarray().ravel()
        values = [np.array([counts[column[token]] / median[token] for token in cell.tolist()]) for cell in (a, b)]
        if len(set(a.tolist())) != len(a) or not (values[0] > 0).all():
            return np.inf
        largest = max(largest, relative_difference(*values))
    return largest

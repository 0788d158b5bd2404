"""What the tests of Geneformer share.

``fixtures/geneformer`` holds numbers that the original code (``TranscriptomeTokenizer``, V1 and V2) gave for two cells
of a public ovarian tumour (Qian et al. 2020), cut to the genes of those cells, and for the shorter one the mean of the
second-to-last layer of a BERT with random weights, cut to the cell's genes and positions.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from genept.engines.geneformer import dictionaries
from genept.engines.geneformer.config import Model
from genept.engines.geneformer.dictionaries import Dictionaries

FIXTURES = Path(__file__).parents[2] / "fixtures" / "geneformer"
CONFIG = Model.parse({"title": "t", "engine": "geneformer", "embed": {}}, "models/m.yaml")
V1 = {"<pad>": 0, "<mask>": 1}
V2 = {**V1, "<cls>": 2, "<eos>": 3}


def names(numbers: np.ndarray) -> list[str]:
    return [f"ENSG{number:011d}" if number else "" for number in numbers]


def upstream(rules: str) -> tuple[sparse.csr_matrix, list[str], Dictionaries, list[list[int]]]:
    """Counts, ids, dictionaries and the original code's tokens; `rules` is v1, v2 or collapse (V2 with alias ids)."""
    frozen = np.load(FIXTURES / "upstream_tokens.npz")
    edition = "v1" if rules == "v1" else "v2"
    ids = names(frozen[f"ensembl_{edition}"])
    medians = dict(zip(ids, frozen[f"median_{edition}"].tolist(), strict=True))
    aliases = {}
    genes = list(ids)
    if rules == "collapse":  # some columns relabelled with another id of a gene that mostly has a column already
        labels, targets = names(frozen["alias"]), names(frozen["alias_gene"])
        aliases = dict(zip(labels, targets, strict=True))
        medians |= dict(zip(targets, frozen["alias_median"].tolist(), strict=True))
        for column, label, target in zip(frozen["alias_column"], labels, targets, strict=True):
            ids[column], genes[column] = label, target
    medians = {gene: median for gene, median in medians.items() if median > 0}
    special = V1 if rules == "v1" else V2
    entries = {**special, **{gene: len(special) + i for i, gene in enumerate(medians)}}
    ranked = [[entries[genes[column]] for column in frozen[f"ranked_{rules}_{cell}"]] for cell in range(2)]
    if rules != "v1":
        ranked = [[V2["<cls>"], *cell, V2["<eos>"]] for cell in ranked]
    return sparse.csr_matrix(frozen["counts"]), ids, Dictionaries(entries, medians, aliases), ranked


def small(special: dict[str, int], n_genes: int = 30) -> Dictionaries:
    """Dictionaries of made-up genes with unequal medians."""
    genes = [f"ENSG{i:011d}" for i in range(1, n_genes + 1)]
    medians = {gene: 0.7 + 0.37 * i for i, gene in enumerate(genes)}
    return Dictionaries(special | {gene: len(special) + i for i, gene in enumerate(genes)}, medians)


def write_model(folder: Path, entries: Dictionaries, seed: int = 0, bin_file: bool = False, **changes: Any) -> None:
    """Write a random checkpoint whose weights all matter, with its dictionaries, as transformers writes it."""
    from transformers import BertConfig, BertForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    size: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config = BertConfig(vocab_size=len(entries.tokens), max_position_embeddings=20, hidden_act="relu", **size | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForMaskedLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    if bin_file:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    dictionaries.write(folder, entries.tokens, entries.medians)


def random_cells(entries: Dictionaries, n_cells: int = 12, seed: int = 0) -> AnnData:
    """Cells with the genes of `entries` and three that it does not have, each cell with a depth of its own."""
    rng = np.random.default_rng(seed)
    genes = [gene for gene in entries.tokens if not gene.startswith("<")]
    ids = [*genes, "", "ENSG99999999999", "not_a_gene"]
    counts = rng.poisson(rng.gamma(0.4, 4, size=(n_cells, 1)) * rng.random((n_cells, len(ids))))
    counts[0, :5] = 1
    cells = AnnData(
        sparse.csr_matrix(counts.astype(np.float32)),
        var=pd.DataFrame({"ensembl_id": ids}, index=[f"g{i}" for i in range(len(ids))]),
    )
    cells.uns["x"] = "counts"
    return cells


def reference_tokens(row: np.ndarray, ids: list[str], entries: Dictionaries, max_length: int) -> list[int]:
    """Rank a cell gene by gene, as the method is described."""
    total: dict[str, float] = {}
    for name, count in zip(ids, row.astype(float).tolist(), strict=True):
        gene = entries.gene(name)
        if count and gene in entries.medians:
            total[gene] = total.get(gene, 0.0) + count
    n_counts = float(row.sum())
    value = {entries.tokens[gene]: count / n_counts * 10_000 / entries.medians[gene] for gene, count in total.items()}
    framed = "<cls>" in entries.tokens
    ranked = sorted(value, key=lambda token: (-value[token], token))[: max_length - 2 * framed]
    return [2, *ranked, 3] if framed and ranked else ranked


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)

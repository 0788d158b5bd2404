"""A small Geneformer, trained here: masked-gene modelling on rank-value tokens.

It has the objective, tokens, architecture and files of the released models, not their size or data (V1: 10 million
parameters, 30 million cells), so it says what the method learns from a few thousand cells, not what Geneformer knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from genept.core.errors import InputError
from genept.engines.geneformer import dictionaries, ranking
from genept.engines.geneformer.dictionaries import MASK, PAD, Dictionaries
from genept.engines.geneformer.medians import medians
from genept.engines.network import training
from genept.engines.network.training import Trained
from genept.engines.pretraining import Pretraining

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

    from genept.data.cells import Cells

SPECIAL = {PAD: 0, MASK: 1}  # V1: no <cls>, no <eos>
WEIGHT_DECAY = 0.001  # as upstream
CELLS_AT_ONCE = 4_000  # whose values are float64

Batch = list[list[np.ndarray]]  # by dataset, the tokens of each cell


def pretrain(corpora: dict[str, Cells], config: Pretraining, folder: Path, device: str) -> Trained:
    """Train a Geneformer and write it in the layout of the released checkpoints.

    Cells are raw counts with ``var['ensembl_id']``, empty where unknown. The loss is the cross-entropy in nats per
    masked gene.

    Equal corpora, settings, thread count and kind of processor give equal bytes. No dropout (upstream 0.02), since a
    cell is seen a few times at most.
    """
    from transformers.utils import logging

    for dataset, corpus in corpora.items():
        if corpus.uns.get("x") != "counts":
            raise InputError(f"data/corpus/{dataset}: Geneformer learns from raw counts, which X is not")
    shares = training.shares(config.batch_size, corpora)
    entries = make_dictionaries(list(corpora.values()))
    rng = np.random.default_rng(config.seed)
    parts = [
        draw(dataset, corpus, entries, config, share, rng)
        for (dataset, corpus), share in zip(corpora.items(), shares, strict=True)
    ]
    batches = [list(batch) for batch in zip(*parts, strict=True)]
    model = new_model(config, len(entries.tokens))
    start_from_frequencies(model, batches)
    model.to(torch.device(device))  # type: ignore[arg-type]  # transformers' wrapper hides the method's type
    generator = torch.Generator().manual_seed(config.seed)
    trained = training.train(
        model, lambda step: batch_loss(model, batches[step], config.mask_ratio, generator), config, WEIGHT_DECAY
    )
    logging.disable_progress_bar()
    model.cpu().save_pretrained(folder)
    dictionaries.write(folder, entries.tokens, entries.medians)
    return trained


def make_dictionaries(corpora: list[Cells]) -> Dictionaries:
    """Give every gene seen in any cell a token and a median.

    A gene's median is over all cells of all corpora with a count of it, of counts per 10,000 of the cell (upstream's
    rule, exact here, by t-digest there). Tokens follow the order of Ensembl ids. Corpora are read part by part, some
    times over.
    """
    names = [corpus.var["ensembl_id"].astype(str) for corpus in corpora]
    genes = pd.Index(sorted(set().union(*names) - {""}))

    def read() -> Iterator[sparse.csr_matrix]:
        for corpus, ids in zip(corpora, names, strict=True):
            known = np.flatnonzero(ids != "")
            where = known, genes.get_indexer(pd.Index(ids.iloc[known]))
            gene_of = sparse.csr_matrix((np.ones(len(known)), where), shape=(len(ids), len(genes)))
            for part in corpus:
                for start in range(0, part.n_obs, CELLS_AT_ONCE):
                    counts = sparse.csr_matrix(part.X[start : start + CELLS_AT_ONCE], dtype=np.float64)
                    summed = counts @ gene_of
                    totals = counts @ np.ones(len(ids))
                    summed.data = summed.data / np.repeat(totals, np.diff(summed.indptr)) * ranking.TARGET_SUM
                    summed.eliminate_zeros()
                    yield summed

    found = dict(zip(genes, medians(read, len(genes)).tolist(), strict=True))
    seen = {gene: median for gene, median in found.items() if not np.isnan(median)}
    return Dictionaries(SPECIAL | {gene: len(SPECIAL) + i for i, gene in enumerate(seen)}, seen)


def draw(
    dataset: str, corpus: Cells, entries: Dictionaries, config: Pretraining, share: int, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Draw for every step the token sequences of `share` cells, none of them empty."""
    genes = ranking.match(corpus.var["ensembl_id"].astype(str).tolist(), entries)
    usable = np.flatnonzero(np.concatenate([part.X @ genes.has_token.astype(part.X.dtype) for part in corpus]))
    if not len(usable):
        raise InputError(f"data/corpus/{dataset}: no gene has both an Ensembl id and a count")
    rows = training.draws(usable, config.steps, share, rng)
    drawn, places = np.unique(rows, return_inverse=True)
    sequences, _ = ranking.rank(sparse.csr_matrix(corpus.take(drawn).X), genes, entries, config.max_length)
    return [[sequences[place] for place in step] for step in places.reshape(rows.shape)]


def new_model(config: Pretraining, n_tokens: int) -> BertForMaskedLM:
    """Build an untrained network with the proportions of the released V1 models."""
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertForMaskedLM

    sizes = BertConfig(
        vocab_size=n_tokens,
        hidden_size=config.width,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=2 * config.width,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=config.max_length,
        pad_token_id=SPECIAL[PAD],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BertForMaskedLM(sizes)


def start_from_frequencies(model: BertForMaskedLM, batches: list[Batch]) -> None:
    """Set the head's bias to how frequent each gene is, on which a short training would spend its time."""
    seen = np.concatenate([sequence for batch in batches for part in batch for sequence in part])
    frequency = np.bincount(seen, minlength=model.config.vocab_size) + 1.0
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(frequency / frequency.sum())))


def batch_loss(model: BertForMaskedLM, batch: Batch, ratio: float, generator: torch.Generator) -> torch.Tensor:
    """Mean cross-entropy of the masked genes of a batch.

    Datasets run one after the other, so that one of long cells does not pad one of short cells; and the head, whose
    cost is the size of the vocabulary, runs at masked positions only. Neither changes the loss.
    """
    device = model.device
    hidden, genes = [], []
    for part in batch:
        original, mask = pad(part)  # (n_cells, longest)
        masked, chosen = mask_genes(original, mask, ratio, model.config.vocab_size, generator)
        output = model.bert(input_ids=masked.to(device), attention_mask=mask.to(device)).last_hidden_state
        hidden.append(output[chosen.to(device)])
        genes.append(original[chosen])
    logits = model.cls(torch.cat(hidden))  # (n_masked, n_tokens)
    total = torch.nn.functional.cross_entropy(logits, torch.cat(genes).to(device), reduction="sum")
    return total / max(1, len(logits))


def pad(sequences: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences: tokens, filled up with 0, and a mask of the real ones; int64, (n_sequences, longest)."""
    tokens = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(cell).long() for cell in sequences], batch_first=True)
    lengths = torch.tensor([len(cell) for cell in sequences])
    return tokens, (torch.arange(tokens.shape[1]) < lengths[:, None]).long()


def mask_genes(
    original: torch.Tensor, mask: torch.Tensor, ratio: float, n_tokens: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose genes to predict, as BERT does: of those, 80 % become <mask>, 10 % a random gene, 10 % stay.

    Returns the sequences with the changes, and which positions were chosen.
    """
    chosen = (torch.rand(original.shape, generator=generator) < ratio) & mask.bool()
    fate = torch.rand(original.shape, generator=generator)
    random = torch.randint(len(SPECIAL), n_tokens, original.shape, generator=generator)
    changed = torch.where(chosen & (fate < 0.8), SPECIAL[MASK], original)
    return torch.where(chosen & (fate >= 0.9), random, changed), chosen

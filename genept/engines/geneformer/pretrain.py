"""A small Geneformer, trained here: masked-gene modelling on rank-value tokens.

It has the objective, tokens, architecture and files of the released models, not their size or data (V1: 10 million
parameters, 30 million cells), so it says what the method learns from a few thousand cells, not what Geneformer knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from genept.core.cli import progress
from genept.core.device import resolve
from genept.core.errors import InputError, ParamsError
from genept.engines.geneformer import dictionaries, tokens
from genept.engines.geneformer.dictionaries import MASK, PAD, Dictionaries

if TYPE_CHECKING:
    from anndata import AnnData
    from transformers import BertForMaskedLM

SPECIAL = {PAD: 0, MASK: 1}  # V1: no <cls>, no <eos>
WARM_UP = 0.1
WEIGHT_DECAY = 0.001  # as upstream


def pretrain(corpora: list[AnnData], options: dict[str, Any], folder: Path, device: str) -> list[tuple[int, float]]:
    """Train a Geneformer and write it in the layout of the released checkpoints.

    Parameters
    ----------
    corpora
        Cells to train on, raw counts with ``var['ensembl_id']`` (empty where unknown) and ``uns['x'] == 'counts'``.
        Every corpus gives the same number of cells to every step.
    options
        ``seed``, ``steps``, ``batch_size`` (cells), ``max_length`` (genes a cell), ``learning_rate`` (its peak),
        ``mask_ratio``, ``width``, ``n_layers``, ``n_heads``.
    folder
        Gets ``config.json``, ``model.safetensors``, ``token_dictionary.pkl`` and ``gene_median_dictionary.pkl``.

    Returns
    -------
    Every step's number, from 1, and loss: cross-entropy in nats per masked gene.

    Raises
    ------
    InputError
        If a corpus does not hold raw counts, or has no gene with both an Ensembl id and a count.
    ParamsError
        If an option is missing or impossible.

    Notes
    -----
    Equal corpora, options, thread count and kind of processor give equal bytes. No dropout (upstream 0.02), since
    a cell is seen a few times at most.
    """
    check(options, len(corpora))
    for number, corpus in enumerate(corpora, start=1):
        if corpus.uns.get("x") != "counts":
            raise InputError(f"pretraining corpus {number}: Geneformer learns from raw counts, X is declared otherwise")
    entries = make_dictionaries(corpora)
    rng = np.random.default_rng(options["seed"])
    parts = [draw(corpus, entries, options, len(corpora), rng) for corpus in corpora]
    batches = [list(batch) for batch in zip(*parts, strict=True)]  # per step, per corpus
    model = new_model(options, len(entries.tokens))
    start_from_frequencies(model, batches)
    losses = train(model, batches, options, resolve(device))
    save(model, folder)
    dictionaries.write(folder, entries.tokens, entries.medians)
    return losses


def check(options: dict[str, Any], n_corpora: int) -> None:
    """Check the options before anything slow begins."""
    where = "params.yaml: pretrain of a geneformer model"
    for name in ("steps", "batch_size", "max_length", "width", "n_layers", "n_heads"):
        if not isinstance(options.get(name), int) or options[name] < 1:
            raise ParamsError(f"{where}: {name} must be a whole number of at least 1, got {options.get(name)!r}")
    if not isinstance(options.get("seed"), int) or options["seed"] < 0:
        raise ParamsError(f"{where}: seed must be a whole number of at least 0, got {options.get('seed')!r}")
    for name, top in (("learning_rate", 1), ("mask_ratio", 1)):
        if not isinstance(options.get(name), float) or not 0 < options[name] < top:
            raise ParamsError(f"{where}: {name} must be a number between 0 and {top}, got {options.get(name)!r}")
    if options["width"] % options["n_heads"]:
        raise ParamsError(f"{where}: width {options['width']} is not a multiple of n_heads {options['n_heads']}")
    if options["batch_size"] % n_corpora:
        raise ParamsError(f"{where}: batch_size {options['batch_size']} is not a multiple of the {n_corpora} corpora")


def make_dictionaries(corpora: list[AnnData]) -> Dictionaries:
    """Give every gene seen in any cell a token and a median.

    A gene's median is over all cells of all corpora with a count of it, of counts per 10,000 of the cell (upstream's
    rule, exact here, by t-digest there). Tokens follow the order of Ensembl ids.
    """
    names = [corpus.var["ensembl_id"].astype(str).tolist() for corpus in corpora]
    genes = sorted(set().union(*names) - {""})
    every = Dictionaries({gene: number for number, gene in enumerate(genes)}, dict.fromkeys(genes, 1.0))
    values = []
    for corpus, ids in zip(corpora, names, strict=True):
        matched = tokens.match(ids, every)
        counts = tokens.without_zeros(sparse.csr_matrix(corpus.X))
        scaled = tokens.relative(counts.data, counts.indices, counts.indptr, matched)
        stored = scaled, matched.tokens.take(counts.indices), counts.indptr.copy()  # the corpus stays as it is
        values.append(sparse.csr_matrix(stored, (corpus.n_obs, len(genes))))
        values[-1].eliminate_zeros()  # columns without a gene, and those added to another column of their gene
    by_gene = sparse.vstack(values).tocsc()
    seen = np.flatnonzero(np.diff(by_gene.indptr))
    medians = {genes[i]: float(np.median(by_gene.data[by_gene.indptr[i] : by_gene.indptr[i + 1]])) for i in seen}
    return Dictionaries(SPECIAL | {gene: len(SPECIAL) + i for i, gene in enumerate(medians)}, medians)


def draw(
    corpus: AnnData, entries: Dictionaries, options: dict[str, Any], n_corpora: int, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Draw the corpus's share of every step's batch; only the drawn cells are tokenised.

    Returns
    -------
    For every step, the token sequences of ``batch_size / n_corpora`` cells. A cell comes again only when all others
    have had their turn; cells without any gene that has a token stay out.
    """
    counts = sparse.csr_matrix(corpus.X)
    genes = tokens.match(corpus.var["ensembl_id"].astype(str).tolist(), entries)
    usable = np.flatnonzero(counts @ genes.has_token.astype(counts.dtype))
    if not len(usable):
        raise InputError("pretraining: a corpus has no gene with both an Ensembl id and a count")
    shape = options["steps"], options["batch_size"] // n_corpora
    n_rounds = -(-shape[0] * shape[1] // len(usable))
    order = np.concatenate([rng.permutation(usable) for _ in range(n_rounds)])[: shape[0] * shape[1]]
    drawn, position = np.unique(order, return_inverse=True)
    sequences, _ = tokens.rank(counts[drawn], genes, entries, options["max_length"])
    return [[sequences[row] for row in rows] for rows in position.reshape(shape)]


def new_model(options: dict[str, Any], n_tokens: int) -> BertForMaskedLM:
    """Build an untrained network with the proportions of the released V1 models."""
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertForMaskedLM

    config = BertConfig(
        vocab_size=n_tokens,
        hidden_size=options["width"],
        num_hidden_layers=options["n_layers"],
        num_attention_heads=options["n_heads"],
        intermediate_size=2 * options["width"],
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=options["max_length"],
        pad_token_id=SPECIAL[PAD],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options["seed"])
        return BertForMaskedLM(config)


def start_from_frequencies(model: BertForMaskedLM, batches: list[list[list[np.ndarray]]]) -> None:
    """Set the head's bias to how frequent each gene is, which a short training would otherwise spend its time on."""
    seen = np.concatenate([sequence for batch in batches for part in batch for sequence in part])
    frequency = np.bincount(seen, minlength=model.config.vocab_size) + 1.0
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(frequency / frequency.sum())))


def save(model: BertForMaskedLM, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` as transformers does, without its progress bar."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.cpu().save_pretrained(folder)


def train(
    model: BertForMaskedLM, batches: list[list[list[np.ndarray]]], options: dict[str, Any], device: str
) -> list[tuple[int, float]]:
    """Train in place: AdamW, learning rate up linearly over the first tenth of the steps, then down linearly to 0."""
    model.to(torch.device(device))  # type: ignore[arg-type]  # transformers' wrapper hides the method's type
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=options["learning_rate"], weight_decay=WEIGHT_DECAY, fused=True
    )
    steps, warm_up = options["steps"], max(1, round(WARM_UP * options["steps"]))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )
    generator = torch.Generator().manual_seed(options["seed"])
    losses = []
    model.train()
    for step, batch in enumerate(progress(batches, "pretraining", unit="step"), start=1):
        loss = batch_loss(model, batch, options["mask_ratio"], generator, device)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append((step, loss.item()))
    return losses


def batch_loss(
    model: BertForMaskedLM, parts: list[list[np.ndarray]], ratio: float, generator: torch.Generator, device: str
) -> torch.Tensor:
    """Mean cross-entropy of the masked genes of a batch.

    Parts run one after the other, so that a corpus of long cells does not pad one of short cells; and the head, whose
    cost is the size of the vocabulary, runs at masked positions only. Neither changes the loss.
    """
    hidden, genes = [], []
    for part in parts:
        original, mask = pad(part)  # (B, L)
        masked, chosen = mask_genes(original, mask, ratio, model.config.vocab_size, generator)
        output = model.bert(input_ids=masked.to(device), attention_mask=mask.to(device)).last_hidden_state  # (B, L, H)
        hidden.append(output[chosen.to(device)])
        genes.append(original[chosen])
    logits = model.cls(torch.cat(hidden))  # (n_masked, n_tokens)
    total = torch.nn.functional.cross_entropy(logits, torch.cat(genes).to(device), reduction="sum")
    return total / max(1, len(logits))


def pad(sequences: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences of unequal length.

    Returns
    -------
    Tokens, filled up with 0, and a mask that is 1 at real tokens; both int64 of shape (n_sequences, longest).
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, dtype=np.int64)
    tokens[mask] = np.concatenate(sequences)
    return torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64))


def mask_genes(
    original: torch.Tensor, mask: torch.Tensor, ratio: float, n_tokens: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose genes to predict, as BERT does: of those, 80 % become <mask>, 10 % a random gene, 10 % stay.

    Returns
    -------
    The sequences with the changes, and which positions were chosen; both shaped like `original`.
    """
    chosen = (torch.rand(original.shape, generator=generator) < ratio) & mask.bool()
    fate = torch.rand(original.shape, generator=generator)
    random = torch.randint(len(SPECIAL), n_tokens, original.shape, generator=generator)
    changed = torch.where(chosen & (fate < 0.8), SPECIAL[MASK], original)
    return torch.where(chosen & (fate >= 0.9), random, changed), chosen

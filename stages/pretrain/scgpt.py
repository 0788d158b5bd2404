"""A small scGPT, trained here: masked expression prediction with the network of the ``scgpt`` package.

It has the objective, input, architecture and files of the released models, not their size or data (51 million
parameters, 33 million cells), so it says what the method learns from a few thousand cells, not what scGPT knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stages.cli import progress
from stages.errors import ParamsError
from stages.pretrain import corpus
from stages.scgpt import checkpoint, tokens, upstream
from stages.scgpt.checkpoint import CLS, PAD, SPECIAL_TOKENS

if TYPE_CHECKING:
    from anndata import AnnData
    from scgpt.model import TransformerModel  # type: ignore[import-untyped]

PAD_VALUE, MASK_VALUE = -2, -1  # as the released models
WARM_UP = 0.1


def pretrain(corpora: list[AnnData], options: dict[str, Any], folder: Path, device: str) -> list[tuple[int, float]]:
    """Train an scGPT and write it in the layout of the released checkpoints.

    At every step a part of each cell's binned values is masked and predicted twice: from the output of the gene's own
    token, and from the output of ``<cls>`` with the gene as the question (upstream's MVC), which is what makes
    ``<cls>`` an embedding of the cell. As in upstream's pretraining only expressed genes are shown.

    Parameters
    ----------
    corpora
        Cells to train on, counts or log-normalised (the bins are the same), with gene symbols as ``var``'s index.
        Every corpus gives the same number of cells to every step.
    options
        ``seed``, ``steps``, ``batch_size`` (cells), ``max_length`` (tokens a cell), ``learning_rate`` (its peak),
        ``mask_ratio``, ``width``, ``n_layers``, ``n_heads``, ``n_bins``.
    folder
        Gets ``args.json``, ``vocab.json`` and ``best_model.pt``, in spite of its name the last step's weights.

    Returns
    -------
    Every step's number, from 1, and loss: the sum of the two mean squared errors, in bins squared.

    Raises
    ------
    ParamsError
        If an option is missing or impossible.

    Notes
    -----
    Equal corpora, options, thread count and kind of processor give equal bytes. No dropout (upstream 0.2): few cells
    are seen twice. Upstream's second objective, generating genes from a prompt, is left out: it shapes the gene
    outputs, not the cell embedding.
    """
    check(options, len(corpora))
    args = settings(options)
    vocab = {token: i for i, token in enumerate([*corpus.gene_symbols(corpora), *SPECIAL_TOKENS])}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options["seed"])
        model = upstream.network(args, len(vocab), vocab[PAD]).to(device)
    losses = train(model, corpora, vocab, options, device)
    checkpoint.write(folder, args, vocab, model.state_dict())
    return losses


def check(options: dict[str, Any], n_corpora: int) -> None:
    """Check the options before anything slow begins."""
    where = "params.yaml: pretrain of an scgpt model"
    for name in ("steps", "batch_size", "max_length", "width", "n_layers", "n_heads", "n_bins"):
        least = 3 if name in ("max_length", "n_bins") else 1
        if type(options.get(name)) is not int or options[name] < least:
            raise ParamsError(f"{where}: {name} must be a whole number of at least {least}, got {options.get(name)!r}")
    if type(options.get("seed")) is not int or options["seed"] < 0:
        raise ParamsError(f"{where}: seed must be a whole number of at least 0, got {options.get('seed')!r}")
    for name in ("learning_rate", "mask_ratio"):
        if not isinstance(options.get(name), float) or not 0 < options[name] < 1:
            raise ParamsError(f"{where}: {name} must be a number between 0 and 1, got {options.get(name)!r}")
    if options["width"] % options["n_heads"]:
        raise ParamsError(f"{where}: width {options['width']} is not a multiple of n_heads {options['n_heads']}")
    if options["batch_size"] % n_corpora:
        raise ParamsError(f"{where}: batch_size {options['batch_size']} is not a multiple of the {n_corpora} corpora")


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``args.json``, the settings of the released models under their names."""
    return {
        "pad_token": PAD,
        "input_style": "binned",
        "input_emb_style": "continuous",
        "n_bins": options["n_bins"],
        "max_seq_len": options["max_length"],
        "mask_ratio": options["mask_ratio"],
        "trunc_by_sample": True,
        "batch_size": options["batch_size"],
        "lr": options["learning_rate"],
        "no_cls": True,
        "no_cce": True,
        "fast_transformer": False,
        "nlayers": options["n_layers"],
        "nheads": options["n_heads"],
        "embsize": options["width"],
        "d_hid": options["width"],
        "dropout": 0.0,
        "n_layers_cls": 3,
        "mask_value": MASK_VALUE,
        "pad_value": PAD_VALUE,
        "MVC": True,
    }


def train(
    model: TransformerModel, corpora: list[AnnData], vocab: dict[str, int], options: dict[str, Any], device: str
) -> list[tuple[int, float]]:
    """Train in place: Adam, learning rate up linearly over the first tenth of the steps, then down linearly to 0."""
    optimiser = torch.optim.Adam(model.parameters(), lr=options["learning_rate"])
    steps, warm_up = options["steps"], max(1, round(WARM_UP * options["steps"]))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )
    rng = np.random.default_rng(options["seed"])
    n_each = options["batch_size"] // len(corpora)
    cells = [corpus.draws(part.n_obs, n_each, steps, rng) for part in corpora]
    gene_ids = [np.array([vocab[symbol] for symbol in part.var_names], dtype=np.int32) for part in corpora]
    losses = []
    model.train()
    for step in progress(range(1, steps + 1), "pretraining", unit="step"):
        optimiser.zero_grad()
        total = 0.0
        for part, ids, rows in zip(corpora, gene_ids, cells, strict=True):
            # one corpus after the other, so that long cells of one do not pad short cells of another
            loss = part_loss(model, tokens_of(part, rows[step - 1], ids, step, vocab, options), vocab, options, rng, device)
            (loss / len(corpora)).backward()
            total += loss.item() / len(corpora)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append((step, total))
    return losses


def tokens_of(
    part: AnnData, rows: np.ndarray, gene_ids: np.ndarray, step: int, vocab: dict[str, int], options: dict[str, Any]
) -> tokens.Tokens:
    """Return some cells as tokens; a cell that comes again has other draws."""
    return tokens.tokenise(
        part.X[rows],
        [f"step {step}, {part.obs_names[row]}" for row in rows],
        gene_ids,
        cls_id=vocab[CLS],
        pad_value=PAD_VALUE,
        n_bins=options["n_bins"],
        max_length=options["max_length"],
        seed=options["seed"],
    )


def part_loss(
    model: TransformerModel,
    batch: tokens.Tokens,
    vocab: dict[str, int],
    options: dict[str, Any],
    rng: np.random.Generator,
    device: str,
) -> torch.Tensor:
    """Return the loss over the masked values of some cells: the sum of both predictions' mean squared errors."""
    ids, bins, padding = batch.pad(np.arange(len(batch)), vocab[PAD], PAD_VALUE)  # (n_cells, longest)
    masked = (rng.random(ids.shape) < options["mask_ratio"]) & (bins > 0)  # neither <cls> nor padding
    values = np.where(masked, MASK_VALUE, bins)
    output = model(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(values).float().to(device),
        torch.from_numpy(padding).to(device),
        MVC=True,
    )
    truth = torch.from_numpy(bins[masked]).float().to(device)
    chosen = torch.from_numpy(masked).to(device)
    predictions = (output["mlm_output"][chosen], output["mvc_output"][chosen])
    return sum((torch.nn.functional.mse_loss(p, truth) for p in predictions), torch.zeros((), device=device))

"""A small scGPT, trained here: masked prediction of binned expression with the network of the ``scgpt`` package.

It has the input, architecture and files of the released models and their kind of objective, not their size or data (51
million weights, 33 million cells), so it says what the method learns from some thousand cells, not what scGPT knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core.cli import progress
from genept.core.errors import ParamsError
from genept.engines.network import corpus
from genept.engines.scgpt import checkpoint, tokens, upstream
from genept.engines.scgpt.checkpoint import CLS, PAD, SPECIAL_TOKENS

if TYPE_CHECKING:
    from anndata import AnnData
    from scgpt.model import TransformerModel

PAD_VALUE, MASK_VALUE = -2, -1  # as the released models
WARM_UP = 0.1


def pretrain(corpora: list[AnnData], options: dict[str, Any], folder: Path, device: str) -> list[tuple[int, float]]:
    """Train an scGPT and write it in the layout of the released checkpoints.

    At every step a part of each cell's values is masked and predicted from the outputs of the genes' own tokens; and
    the output of ``<cls>`` is asked for the values of some genes (upstream's MVC), which makes it an embedding of the
    cell. Upstream's pretraining asks ``<cls>`` for the masked genes, all of them expressed. Here unexpressed genes are
    asked for too, with value 0, as in upstream's fine-tuning with ``include_zero_gene``: from few cells that teaches
    more. What the encoder reads are expressed genes only, as in an embedding.

    Parameters
    ----------
    corpora
        Cells to train on, counts or log-normalised (the bins are the same), with gene symbols as ``var``'s index.
        Every corpus gives the same number of cells to every step.
    options
        ``seed``, ``steps``, ``batch_size`` (cells), ``max_length`` (tokens a cell), ``asked_genes`` (of ``<cls>``,
        for each cell), ``learning_rate`` (its peak), ``mask_ratio``, ``width``, ``n_layers``, ``n_heads``,
        ``n_bins``.
    folder
        Gets ``args.json``, ``vocab.json`` and ``best_model.pt``, in spite of its name the last step's weights.

    Returns
    -------
    Every step's number, from 1, and loss: the sum of the two mean squared errors, where 1 is the variance of the bins
    of expressed genes.

    Raises
    ------
    ParamsError
        If an option is missing or impossible.

    Notes
    -----
    Equal corpora, options, thread count and kind of processor give equal bytes. No dropout (upstream 0.2): few cells
    are seen often. Upstream's other objective, generating the genes that a prompt leaves out, is not trained.
    """
    check(options, len(corpora))
    args = settings(options)
    vocab = {token: i for i, token in enumerate([*corpus.gene_symbols(corpora), *SPECIAL_TOKENS])}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options["seed"])
        model = upstream.network(args, len(vocab), vocab[PAD]).to(device)
    losses = train(model, corpora, vocab, options, device)
    predict_bins(model, scale(options))
    checkpoint.write(folder, args, vocab, model.state_dict())
    return losses


def check(options: dict[str, Any], n_corpora: int) -> None:
    """Check the options before anything slow begins."""
    where = "params.yaml: pretrain of an scgpt model"
    for name in ("steps", "batch_size", "max_length", "asked_genes", "width", "n_layers", "n_heads", "n_bins"):
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
    """Return the content of ``args.json``: the settings of the released models, under their names."""
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


def scale(options: dict[str, Any]) -> float:
    """Return the standard deviation of bins 1 to ``n_bins`` - 1, the unit in which the network learns fastest."""
    return ((options["n_bins"] - 1) ** 2 - 1) ** 0.5 / 12**0.5


def train(
    model: TransformerModel, corpora: list[AnnData], vocab: dict[str, int], options: dict[str, Any], device: str
) -> list[tuple[int, float]]:
    """Train in place: Adam, learning rate up linearly over the first tenth of the steps, then down linearly to 0."""
    optimiser = torch.optim.Adam(model.parameters(), lr=options["learning_rate"], fused=True)
    steps, warm_up = options["steps"], max(1, round(WARM_UP * options["steps"]))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )
    rng = np.random.default_rng(options["seed"])
    genes = [np.array([vocab[symbol] for symbol in part.var_names]) for part in corpora]
    x = corpus.stack(corpora, genes, len(vocab))
    names = [name for part in corpora for name in part.obs_names]
    firsts = np.cumsum([0, *(part.n_obs for part in corpora)])
    n_each = options["batch_size"] // len(corpora)
    cells = np.hstack(  # (n_steps, batch_size), a block of columns for each corpus
        [first + corpus.draws(part.n_obs, n_each, steps, rng) for first, part in zip(firsts, corpora, strict=False)]
    )
    losses = []
    model.train()
    for step in progress(range(1, steps + 1), "pretraining", unit="step"):
        rows = cells[step - 1]
        whole = tokens.tokenise(
            x[rows],
            [f"step {step}: {names[row]}" for row in rows],  # other draws when a cell comes again
            np.arange(len(vocab)),
            cls_id=vocab[CLS],
            pad_value=PAD_VALUE,
            n_bins=options["n_bins"],
            max_length=len(vocab),
            seed=options["seed"],
        )
        loss = batch_loss(model, whole, genes, vocab[PAD], options, rng, device)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append((step, loss.item()))
    return losses


def batch_loss(
    model: TransformerModel,
    whole: tokens.Tokens,
    measured: list[np.ndarray],
    pad_id: int,
    options: dict[str, Any],
    rng: np.random.Generator,
    device: str,
) -> torch.Tensor:
    """Return the loss over some cells, as many of each corpus.

    Parameters
    ----------
    whole
        The cells with all their genes, corpus after corpus.
    measured
        For each corpus its genes as vocabulary ids.
    """
    shown = sample(whole, options["max_length"], rng)
    ids, bins, padding = shown.pad(np.arange(len(shown)), pad_id, PAD_VALUE)  # (n_cells, longest)
    masked = (rng.random(ids.shape) < options["mask_ratio"]) & (bins > 0)  # neither <cls> nor padding
    values = np.where(masked, MASK_VALUE, bins)
    hidden = model._encode(  # (n_cells, longest, width)
        torch.from_numpy(ids).to(device),
        torch.from_numpy(values).float().to(device),
        torch.from_numpy(padding).to(device) if padding.any() else None,
    )
    own = model.decoder(hidden[torch.from_numpy(masked).to(device)])["pred"]  # of masked genes only, to save time
    loss = squared_error(own, bins[masked], scale(options))

    asked = questions(whole, measured, options["asked_genes"], rng)  # (n_cells, n_asked)
    truth = np.take_along_axis(dense(whole, model.encoder.embedding.num_embeddings), asked, axis=1)
    answers = model.mvc_decoder(hidden[:, 0], model.encoder(torch.from_numpy(asked).to(device)))["pred"]
    return loss + squared_error(answers, truth, scale(options))


def questions(whole: tokens.Tokens, measured: list[np.ndarray], n_asked: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the genes whose values ``<cls>`` has to tell, shape (n_cells, n_asked), as vocabulary ids.

    Half of them are genes that the cell expresses, else the best answer would foremost be how many it expresses; the
    others are any genes that its corpus measures, because what was not measured is not 0.
    """
    n_each = len(whole) // len(measured)
    asked = np.empty((len(whole), n_asked), dtype=np.int64)
    for cell in range(len(whole)):
        genes = measured[cell // n_each]
        expressed = whole.ids[whole.starts[cell] + 1 : whole.starts[cell + 1]]
        asked[cell, : n_asked // 2] = rng.choice(expressed if len(expressed) else genes, n_asked // 2)
        asked[cell, n_asked // 2 :] = rng.choice(genes, n_asked - n_asked // 2)
    return asked


def sample(whole: tokens.Tokens, max_length: int, rng: np.random.Generator) -> tokens.Tokens:
    """Return the cells with ``<cls>`` and at most `max_length` - 1 of their genes, drawn at random."""
    kept = [
        np.append(start, start + 1 + rng.permutation(length - 1)[: max_length - 1])
        for start, length in zip(whole.starts, whole.lengths, strict=False)
    ]
    flat, starts = np.concatenate(kept), np.cumsum([0, *map(len, kept)])
    return tokens.Tokens(whole.ids[flat], whole.values[flat], starts, whole.n_expressed)


def dense(whole: tokens.Tokens, n_tokens: int) -> np.ndarray:
    """Return the cells' bins as a matrix with a column for every token of the vocabulary, 0 where not expressed."""
    matrix = np.zeros((len(whole), n_tokens), dtype=np.float32)
    matrix[np.repeat(np.arange(len(whole)), whole.lengths), whole.ids] = whole.values
    return matrix


def squared_error(predictions: torch.Tensor, bins: np.ndarray, unit: float) -> torch.Tensor:
    """Return the mean squared difference between predictions, which are in `unit` bins, and the true bins."""
    truth = torch.from_numpy(np.asarray(bins, dtype=np.float32)).to(predictions.device)
    return torch.nn.functional.mse_loss(predictions, truth / unit)


def predict_bins(model: TransformerModel, unit: float) -> None:
    """Change the last weights of both heads so that they predict in bins, as upstream's, instead of in `unit` bins."""
    with torch.no_grad():
        for weight in (*model.decoder.fc[-1].parameters(), model.mvc_decoder.W.weight):
            weight *= unit

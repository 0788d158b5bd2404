"""A small scGPT, trained here: masked prediction of binned expression with the network of the ``scgpt`` package.

It has the input, architecture and files of the released models and their kind of objective, not their size or data (51
million weights, 33 million cells), so it says what the method learns from some thousand cells, not what scGPT knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import torch

from genept.engines.network import training
from genept.engines.network.training import Trained
from genept.engines.scgpt import checkpoint, tokens, upstream
from genept.engines.scgpt.checkpoint import CLS, PAD, SPECIAL_TOKENS, Args
from genept.engines.scgpt.config import Pretrain
from genept.engines.scgpt.tokens import Tokens

if TYPE_CHECKING:
    from scgpt.model import TransformerModel

    from genept.data.cells import Cells

PAD_VALUE, MASK_VALUE = -2, -1  # as the released models


def pretrain(corpora: dict[str, Cells], config: Pretrain, folder: Path, device: str) -> Trained:
    """Train an scGPT and write it in the layout of the released checkpoints.

    At every step a part of each cell's values is masked and predicted from the outputs of the genes' own tokens; and
    the output of ``<cls>`` is asked for the values of some genes (upstream's MVC), which makes it an embedding of the
    cell. Upstream's pretraining asks ``<cls>`` for the masked genes, all of them expressed. Here unexpressed genes are
    asked for too, with value 0, as in upstream's fine-tuning with ``include_zero_gene``: from few cells that teaches
    more. What the encoder reads are expressed genes only, as in an embedding.

    Cells are counts or log-normalised (the bins are the same). ``best_model.pt`` has, in spite of its name, the last
    step's weights. The loss is the sum of the two mean squared errors, where 1 is the variance of the bins of expressed
    genes.

    Equal corpora, settings, thread count and kind of processor give equal bytes. No dropout (upstream 0.2): few cells
    are seen often. Upstream's other objective, generating the genes that a prompt leaves out, is not trained.
    """
    shares = training.shares(config.batch_size, corpora)
    symbols = sorted(set().union(*(corpus.var.index for corpus in corpora.values())))
    vocab = {token: i for i, token in enumerate([*symbols, *SPECIAL_TOKENS])}
    args = args_json(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = upstream.network(Args(**args), len(vocab), vocab[PAD]).to(device)

    rng = np.random.default_rng(config.seed)
    cells, places, measured, first = [], [], [], 0
    for corpus, share in zip(corpora.values(), shares, strict=True):
        drawn, place = np.unique(training.draws(corpus.n_obs, config.steps, share, rng), return_inverse=True)
        cells.append(corpus.take(drawn))  # the others are never in memory
        places.append(first + place.reshape(config.steps, share))
        measured += [np.array([vocab[symbol] for symbol in corpus.var.index])] * share
        first += len(drawn)
    rows = np.hstack(places)  # (n_steps, batch_size)
    joined = anndata.concat(cells, join="outer")  # zeros where a dataset lacks a gene
    x, names = joined[:, symbols].X.tocsr(), joined.obs_names

    def loss(step: int) -> torch.Tensor:
        whole = tokens.tokenise(
            x[rows[step]],
            [f"step {step + 1}: {names[row]}" for row in rows[step]],  # other draws when a cell comes again
            np.arange(len(symbols)),
            cls_id=vocab[CLS],
            pad_value=PAD_VALUE,
            n_bins=config.n_bins,
            max_length=len(vocab),
            seed=config.seed,
        )
        return batch_loss(model, whole, measured, vocab[PAD], config, rng)

    trained = training.train(model, loss, config)
    predict_bins(model, scale(config))
    checkpoint.write(folder, args, vocab, model.state_dict())
    return trained


def args_json(config: Pretrain) -> dict[str, Any]:
    """Return the content of ``args.json``: the settings of the released models, under their names."""
    return {
        "pad_token": PAD,
        "input_style": "binned",
        "input_emb_style": "continuous",
        "n_bins": config.n_bins,
        "max_seq_len": config.max_length,
        "mask_ratio": config.mask_ratio,
        "trunc_by_sample": True,
        "batch_size": config.batch_size,
        "lr": config.learning_rate,
        "no_cls": True,
        "no_cce": True,
        "fast_transformer": False,
        "nlayers": config.n_layers,
        "nheads": config.n_heads,
        "embsize": config.width,
        "d_hid": config.width,
        "dropout": 0.0,
        "n_layers_cls": 3,
        "mask_value": MASK_VALUE,
        "pad_value": PAD_VALUE,
        "MVC": True,
    }


def scale(config: Pretrain) -> float:
    """Return the standard deviation of bins 1 to ``n_bins`` - 1, the unit in which the network learns fastest."""
    return ((config.n_bins - 1) ** 2 - 1) ** 0.5 / 12**0.5


def batch_loss(
    model: TransformerModel,
    whole: Tokens,
    measured: list[np.ndarray],
    pad_id: int,
    config: Pretrain,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return the loss over some cells with all their genes; `measured` are those of each cell's dataset."""
    device = model.encoder.embedding.weight.device

    def squared_error(predictions: torch.Tensor, bins: np.ndarray) -> torch.Tensor:
        truth = torch.from_numpy(np.asarray(bins, dtype=np.float32)).to(device)
        return torch.nn.functional.mse_loss(predictions, truth / scale(config))

    shown = sample(whole, config.max_length, rng)
    ids, bins, padding = shown.pad(np.arange(len(shown)), pad_id, PAD_VALUE)  # (n_cells, longest)
    masked = (rng.random(ids.shape) < config.mask_ratio) & (bins > 0)  # neither <cls> nor padding
    values = np.where(masked, MASK_VALUE, bins)
    hidden = model._encode(  # (n_cells, longest, width)
        torch.from_numpy(ids).to(device),
        torch.from_numpy(values).float().to(device),
        torch.from_numpy(padding).to(device) if padding.any() else None,
    )
    own = model.decoder(hidden[torch.from_numpy(masked).to(device)])["pred"]  # of masked genes only, to save time
    loss = squared_error(own, bins[masked])

    asked = questions(whole, measured, config.asked_genes, rng)  # (n_cells, n_asked)
    truth = np.take_along_axis(dense(whole, model.encoder.embedding.num_embeddings), asked, axis=1)
    answers = model.mvc_decoder(hidden[:, 0], model.encoder(torch.from_numpy(asked).to(device)))["pred"]
    return loss + squared_error(answers, truth)


def questions(whole: Tokens, measured: list[np.ndarray], n_asked: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the genes whose values ``<cls>`` has to tell, shape (n_cells, n_asked), as vocabulary ids.

    Half of them are genes that the cell expresses, else the best answer would foremost be how many it expresses; the
    others are any genes that its dataset measures, because what was not measured is not 0.
    """
    asked = np.empty((len(whole), n_asked), dtype=np.int64)
    for cell, genes in enumerate(measured):
        expressed = whole.ids[whole.starts[cell] + 1 : whole.starts[cell + 1]]
        asked[cell, : n_asked // 2] = rng.choice(expressed if len(expressed) else genes, n_asked // 2)
        asked[cell, n_asked // 2 :] = rng.choice(genes, n_asked - n_asked // 2)
    return asked


def sample(whole: Tokens, max_length: int, rng: np.random.Generator) -> Tokens:
    """Return the cells with ``<cls>`` and at most `max_length` - 1 of their genes, drawn at random."""
    places = [
        np.append(start, start + 1 + rng.permutation(length - 1)[: max_length - 1])
        for start, length in zip(whole.starts, whole.lengths, strict=False)
    ]
    flat, starts = np.concatenate(places), np.cumsum([0, *map(len, places)])
    return Tokens(whole.ids[flat], whole.values[flat], starts, whole.n_expressed)


def dense(whole: Tokens, n_tokens: int) -> np.ndarray:
    """Return the cells' bins as a matrix with a column for every token of the vocabulary, 0 where not expressed."""
    matrix = np.zeros((len(whole), n_tokens), dtype=np.float32)
    matrix[np.repeat(np.arange(len(whole)), whole.lengths), whole.ids] = whole.values
    return matrix


def predict_bins(model: TransformerModel, unit: float) -> None:
    """Change the last weights of both heads so that they predict in bins, as upstream's, instead of in `unit` bins."""
    with torch.no_grad():
        for weight in (*model.decoder.fc[-1].parameters(), model.mvc_decoder.W.weight):
            weight *= unit

"""Pretraining a small scGPT: what the network is shown and asked, and how it is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genept.data.cells import in_memory
from genept.engines.scgpt import checkpoint, tokens, upstream
from genept.engines.scgpt import pretrain as pretraining
from tests.engines.pretrain.made import CONFIG, cells


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return upstream.network(checkpoint.Args(**pretraining.args_json(CONFIG)), 63, 60)


def whole(dataset: str = "one", n_cells: int = 6, first_gene: int = 0) -> tokens.Tokens:
    data = cells(dataset, n_cells)
    ids = np.arange(data.n_vars) + first_gene
    return tokens.tokenise(data.X, list(data.obs_names), ids, cls_id=61, pad_value=-2, n_bins=51, max_length=99, seed=0)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    corpora = {dataset: in_memory(cells(dataset, 200)) for dataset in ("one", "two")}
    config = CONFIG.model_copy(update={"steps": 60, "max_length": 30})
    values = np.array(pretraining.pretrain(corpora, config, tmp_path, "cpu").losses)
    assert len(values) == 60
    assert values[-10:].mean() < 0.6 * values[:5].mean()
    assert checkpoint.read(tmp_path).args.embsize == 8


def test_only_expressed_genes_are_masked_and_cls_and_padding_never(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    encode = model._encode

    def recorded(*inputs: torch.Tensor) -> torch.Tensor:
        seen.extend(inputs)
        return encode(*inputs)

    monkeypatch.setattr(model, "_encode", recorded)
    batch = whole(n_cells=60)
    config = CONFIG.model_copy(update={"max_length": 20})
    pretraining.batch_loss(model, batch, [np.arange(30)] * 60, 60, config, np.random.default_rng(0))
    ids, values, padding = (tensor.numpy() for tensor in seen)
    truth = pretraining.dense(batch, 63)[np.arange(60)[:, None], ids]
    masked = values == -1
    assert (ids[:, 0] == 61).all()
    assert (values[:, 0] == -2).all()
    assert (ids[padding] == 60).all()
    assert (values[padding] == -2).all()
    genes = ~padding & (ids != 61)
    assert masked[~genes].sum() == 0
    assert (truth[genes] > 0).all()
    np.testing.assert_array_equal(values[genes & ~masked], truth[genes & ~masked])
    assert masked.sum() / genes.sum() == pytest.approx(0.4, abs=0.06)  # standard deviation 0.015


def test_cls_is_asked_for_expressed_genes_and_for_any_gene_of_the_cells_own_corpus() -> None:
    for batch, genes in ((whole(n_cells=3), np.arange(30)), (whole("two", 3, first_gene=20), np.arange(20, 60))):
        asked = pretraining.questions(batch, [genes] * 3, 1000, np.random.default_rng(0))
        assert asked.shape == (3, 1000)
        for bins, questions in zip(pretraining.dense(batch, 63), asked, strict=True):
            assert set(questions[500:]) == set(genes)
            assert set(questions[:500]) == set(genes[bins[genes] > 0])
    empty = tokens.Tokens(np.array([61]), np.array([-2]), np.array([0, 1]), np.array([0]))  # asked for any gene
    assert set(pretraining.questions(empty, [np.arange(5)], 10, np.random.default_rng(0)).ravel()) <= set(range(5))


def test_a_sample_is_cls_and_a_random_subset() -> None:
    batch = whole(n_cells=200)
    shown = pretraining.sample(batch, 7, np.random.default_rng(0))
    assert shown.lengths.tolist() == np.minimum(batch.lengths, 7).tolist()
    assert (shown.ids[shown.starts[:-1]] == 61).all()
    full, part = pretraining.dense(batch, 63), pretraining.dense(shown, 63)
    assert (part[part != 0] == full[part != 0]).all()
    shares = (part != 0).sum(axis=0)[:30] / (full != 0).sum(axis=0)[:30]
    assert np.ptp(shares) < 0.25  # every gene has the same chance


def test_the_heads_are_left_predicting_in_bins() -> None:
    torch.manual_seed(0)
    model = upstream.network(checkpoint.Args(**pretraining.args_json(CONFIG)), 63, 60).eval()
    hidden, genes = torch.randn(4, 8), torch.randn(4, 5, 8)
    with torch.no_grad():
        own, asked = model.decoder(hidden)["pred"], model.mvc_decoder(hidden, genes)["pred"]
        pretraining.predict_bins(model, 14.0)
        torch.testing.assert_close(model.decoder(hidden)["pred"], 14 * own)
        torch.testing.assert_close(model.mvc_decoder(hidden, genes)["pred"], 14 * asked)

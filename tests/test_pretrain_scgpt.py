"""Pretraining a small scGPT: the command, what it writes, and what the network is shown and asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from stages.embed import scgpt as engine
from stages.pretrain import corpus
from stages.pretrain import scgpt as pretraining
from stages.pretrain.__main__ import main, smooth
from stages.scgpt import checkpoint, tokens, upstream

PRETRAIN = {
    "seed": 0,
    "steps": 6,
    "batch_size": 8,
    "max_length": 12,
    "asked_genes": 10,
    "learning_rate": 0.01,
    "mask_ratio": 0.4,
    "width": 8,
    "n_layers": 2,
    "n_heads": 2,
    "n_bins": 51,
}
GENES = {"one": [f"G{i}" for i in range(30)], "two": [f"G{i}" for i in range(20, 60)]}


def cells(dataset: str, n_cells: int = 40) -> anndata.AnnData:
    """Make cells of two kinds, which differ in the half of the genes that they express strongly."""
    genes = GENES[dataset]
    rng = np.random.default_rng(len(genes))
    strong = (np.arange(n_cells)[:, None] + np.arange(len(genes))) % 2 == 0
    x = sp.csr_matrix(rng.poisson(np.where(strong, 6.0, 0.5)).astype(np.float32))
    obs = pd.DataFrame(index=[f"{dataset}-{i}" for i in range(n_cells)])
    data = anndata.AnnData(x, obs, pd.DataFrame({"ensembl_id": [""] * len(genes)}, index=genes))
    data.uns["x"] = "counts"
    return data


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small gain nothing from threads, and lose much where other tests run beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for dataset in GENES:
        (tmp_path / "data" / dataset).mkdir(parents=True)
        cells(dataset).write_h5ad(tmp_path / "data" / dataset / "rest.h5ad")
    write_params({})
    return tmp_path


def write_params(change: dict[str, Any], **entry: Any) -> None:
    model = {"title": "Tiny", "engine": "scgpt", "pretrain": PRETRAIN | change} | entry
    params = {"seed": 0, "threads": 1, "device": "cpu", "datasets": {"one": {}, "two": {}}, "models": {"tiny": model}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments or ("tiny", "one", "two"))


def outputs(project: Path) -> dict[str, bytes]:
    paths = [*sorted((project / "models" / "tiny").iterdir()), project / "plots" / "pretrain" / "tiny.csv"]
    return {path.name: path.read_bytes() for path in paths}


# --- the command


def test_a_run_writes_a_checkpoint_in_the_released_layout_that_the_engine_embeds_with(project: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert set(outputs(project)) == {"args.json", "vocab.json", "best_model.pt", "card.json", "tiny.csv"}
    vocab = json.loads((project / "models/tiny/vocab.json").read_text())
    assert list(vocab) == [*sorted(f"G{i}" for i in range(60)), "<pad>", "<cls>", "<eoc>"]
    options = {"implementation": "native", "seed": 0, "max_length": 100}
    native, notes = engine.embed(cells("one"), project / "models" / "tiny", options, "cpu")
    oracle, _ = engine.embed(cells("one"), project / "models" / "tiny", options | {"implementation": "upstream"}, "cpu")
    assert native.shape == (40, 8)
    assert notes["n_genes_missing"] == 0
    np.testing.assert_allclose(native, oracle, atol=1e-5)


def test_equal_runs_give_equal_bytes_and_another_seed_other_weights(project: Path) -> None:
    run()
    first = outputs(project)
    run()
    assert outputs(project) == first
    write_params({"seed": 1})
    run()
    assert outputs(project)["best_model.pt"] != first["best_model.pt"]


def test_the_card_says_what_the_model_is_and_saw(project: Path) -> None:
    run()
    card = json.loads((project / "models/tiny/card.json").read_text())
    weights = torch.load(project / "models/tiny/best_model.pt", weights_only=True)
    assert card["n_cells"] == {"one": 40, "two": 40}
    assert card["n_genes"] == 60
    assert card["steps"] == 6
    assert card["n_weights"] == sum(weight.numel() for weight in weights.values())
    assert card["description"].startswith("A small scGPT, trained here: masked prediction of binned expression")
    assert "not a released checkpoint" in card["limits"]
    assert "In-domain" in card["limits"]


def test_the_curve_has_a_row_for_every_stretch_of_steps(project: Path) -> None:
    write_params({"steps": 104, "width": 4})
    run()
    curve = pd.read_csv(project / "plots/pretrain/tiny.csv")
    assert list(curve) == ["step", "loss"]
    assert curve["step"].tolist() == [*range(2, 105, 2)]
    assert curve["loss"].notna().all()


def test_smoothing_is_the_mean_of_each_stretch() -> None:
    losses = [(step, float(step)) for step in range(1, 251)]
    curve = smooth(losses)
    assert curve[:2] == [(3, 2.0), (6, 5.0)]
    assert curve[-1] == (250, 250.0)
    assert smooth(losses[:4]) == losses[:4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"max_length": 2}, "max_length must be a whole number of at least 3, got 2"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None"),
        ({"mask_ratio": 1.5}, "mask_ratio must be a number between 0 and 1, got 1.5"),
        ({"width": 9}, "width 9 is not a multiple of n_heads 2"),
        ({"batch_size": 7}, "batch_size 7 is not a multiple of the 2 corpora"),
    ],
)
def test_impossible_options_are_one_line_and_write_nothing(project: Path, change: dict[str, Any], message: str) -> None:
    write_params(change)
    fails(project, 2, message)


def fails(project: Path, code: int, message: str, *arguments: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not (project / "models").exists() or not list((project / "models").iterdir())
    assert not (project / "plots").exists()


def test_a_dataset_with_no_cells_left_is_one_line(project: Path) -> None:
    cells("two")[:0].copy().write_h5ad(project / "data/two/rest.h5ad")
    fails(project, 1, "data/two/rest.h5ad: 0 cells are outside the evaluated subset, pretraining needs 4 or more")


def test_unknown_names_are_one_line(project: Path) -> None:
    fails(project, 2, "no entry 'tine' under models; did you mean 'tiny'?", "tine", "one")
    fails(project, 2, "no entry 'three' under datasets", "tiny", "three")
    write_params({}, engine="genept_w")
    fails(project, 2, "engine 'genept_w' cannot be trained here, geneformer and scgpt can")
    write_params({}, pretrain=None)
    fails(project, 2, "models.tiny has no `pretrain:`")


def test_a_missing_rest_file_is_one_line(project: Path) -> None:
    (project / "data/two/rest.h5ad").unlink()
    fails(project, 1, "data/two/rest.h5ad: no such file; run the stage that makes it first")


def test_a_failed_run_leaves_the_earlier_model(project: Path) -> None:
    run()
    before = outputs(project)
    cells("two")[:0].copy().write_h5ad(project / "data/two/rest.h5ad")
    assert run().exit_code == 1
    assert outputs(project) == before


# --- training


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return upstream.network(pretraining.settings(PRETRAIN), 63, 60)


def whole(dataset: str = "one", n_cells: int = 6, first_gene: int = 0) -> tokens.Tokens:
    data = cells(dataset, n_cells)
    ids = np.arange(data.n_vars) + first_gene
    return tokens.tokenise(data.X, list(data.obs_names), ids, cls_id=61, pad_value=-2, n_bins=51, max_length=99, seed=0)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    corpora = [cells("one", 200), cells("two", 200)]
    losses = pretraining.pretrain(corpora, PRETRAIN | {"steps": 60, "max_length": 30}, tmp_path, "cpu")
    assert [step for step, _ in losses] == list(range(1, 61))
    values = np.array([loss for _, loss in losses])
    assert values[-10:].mean() < 0.6 * values[:5].mean()
    assert checkpoint.read(tmp_path).config.embsize == 8


def test_only_expressed_genes_are_masked_and_cls_and_padding_never(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    encode = model._encode

    def recorded(*inputs: torch.Tensor) -> torch.Tensor:
        seen.extend(inputs)
        return encode(*inputs)

    monkeypatch.setattr(model, "_encode", recorded)
    batch = whole(n_cells=60)
    options = PRETRAIN | {"max_length": 20}
    pretraining.batch_loss(model, batch, [np.arange(30)], 60, options, np.random.default_rng(0), "cpu")
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
    first, second = whole(n_cells=3), whole("two", n_cells=3, first_gene=20)
    both = tokens.Tokens(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.values, second.values]),
        np.concatenate([first.starts, first.starts[-1] + second.starts[1:]]),
        np.concatenate([first.n_expressed, second.n_expressed]),
    )
    measured = [np.arange(30), np.arange(20, 60)]
    asked = pretraining.questions(both, measured, 1000, np.random.default_rng(0))
    assert asked.shape == (6, 1000)
    bins = np.take_along_axis(pretraining.dense(both, 63), asked, axis=1)
    assert (bins[:, :500] > 0).all()
    for cell in range(6):
        genes = measured[cell // 3]
        assert set(asked[cell, 500:]) == set(genes)
        assert set(asked[cell, :500]) == set(genes[pretraining.dense(both, 63)[cell, genes] > 0])


def test_a_cell_without_genes_is_asked_for_any_gene() -> None:
    empty = tokens.Tokens(np.array([61]), np.array([-2]), np.array([0, 1]), np.array([0]))
    asked = pretraining.questions(empty, [np.arange(5)], 10, np.random.default_rng(0))
    assert set(asked.ravel()) <= set(range(5))


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
    model = upstream.network(pretraining.settings(PRETRAIN), 63, 60).eval()
    hidden, genes = torch.randn(4, 8), torch.randn(4, 5, 8)
    with torch.no_grad():
        own, asked = model.decoder(hidden)["pred"], model.mvc_decoder(hidden, genes)["pred"]
        pretraining.predict_bins(model, 14.0)
        torch.testing.assert_close(model.decoder(hidden)["pred"], 14 * own)
        torch.testing.assert_close(model.mvc_decoder(hidden, genes)["pred"], 14 * asked)


def test_the_unit_of_the_loss_is_the_deviation_of_the_bins() -> None:
    assert pretraining.scale(PRETRAIN) == pytest.approx(np.std(np.arange(1, 51)))


# --- corpora


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 20), st.integers(0, 99))
def test_a_cell_comes_again_only_when_all_others_have_had_their_turn(
    n_cells: int, n_per_step: int, n_steps: int, seed: int
) -> None:
    drawn = corpus.draws(n_cells, n_per_step, n_steps, np.random.default_rng(seed))
    assert drawn.shape == (n_steps, n_per_step)
    times = np.bincount(drawn.ravel(), minlength=n_cells)
    assert len(times) == n_cells
    assert times.max() - times.min() <= 1


def test_stacked_corpora_keep_every_value_under_its_gene() -> None:
    corpora = [cells("one", 5), cells("two", 7)]
    symbols = corpus.gene_symbols(corpora)
    assert symbols == sorted(f"G{i}" for i in range(60))
    columns = [np.array([symbols.index(gene) for gene in part.var_names]) for part in corpora]
    stacked = pd.DataFrame(corpus.stack(corpora, columns, 60).toarray(), columns=symbols)
    expected = pd.concat([part.to_df() for part in corpora], ignore_index=True).fillna(0)
    pd.testing.assert_frame_equal(stacked[symbols], expected[symbols])

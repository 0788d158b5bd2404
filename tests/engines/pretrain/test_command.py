"""The pretrain command, here of a small scGPT: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from genept.engines.scgpt import embed as engine
from stages.pretrain import main, smooth
from tests.engines.pretrain.made import GENES, PRETRAIN, cells

pytestmark = pytest.mark.usefixtures("one_thread")


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


def fails(project: Path, code: int, message: str, *arguments: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not (project / "models").exists() or not list((project / "models").iterdir())
    assert not (project / "plots").exists()


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

"""The pretrain command, here of a small scGPT: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from genept.core import files
from genept.core.params import Models
from genept.data import cells as labelled_cells
from genept.data import parts
from genept.datasets import labelled, matrix
from genept.engines.scgpt import embed as engine
from stages.pretrain import main
from tests.engines.pretrain.made import GENES, PRETRAIN, cells
from tests.engines.scgpt.made import config
from tests.helpers import write_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for dataset in GENES:
        (tmp_path / "data" / "corpus" / dataset).mkdir(parents=True)
        cells(dataset).write_h5ad(tmp_path / "data" / "corpus" / dataset / "cells.h5ad")
    settings({})
    return tmp_path


def settings(change: dict[str, Any], datasets: tuple[str, ...] = ("one", "two"), **model: Any) -> None:
    lists: dict[str, list[str]] = {key: [] for key in Models.model_fields}
    grid: dict[str, Any] = {"datasets": ["one", "two"], "pretrain": list(datasets), "ensemble": []}
    grid |= {"models": lists | {"scgpt_trained": ["tiny"]}}
    params = {"device": "cpu", "threads": 1, "baseline": "tiny", "grid": grid}
    entry = {"title": "Tiny", "engine": "scgpt", "pretrain": PRETRAIN | change, "embed": {}} | model
    write_settings(Path(), params, models={"tiny": {k: v for k, v in entry.items() if v is not None}})


def run(model: str = "tiny") -> Result:
    return CliRunner().invoke(main, [model])


def outputs(project: Path) -> dict[str, bytes]:
    paths = [*sorted((project / "models" / "tiny").iterdir()), project / "plots" / "pretrain" / "tiny.csv"]
    return {path.name: path.read_bytes() for path in paths}


def test_a_run_writes_a_checkpoint_in_the_released_layout_that_the_engine_embeds_with(project: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert set(outputs(project)) == {"args.json", "vocab.json", "best_model.pt", "card.json", "tiny.csv"}
    vocab = json.loads((project / "models/tiny/vocab.json").read_text())
    assert list(vocab) == [*sorted(f"G{i}" for i in range(60)), "<pad>", "<cls>", "<eoc>"]
    native, notes = engine.embed(cells("one"), project / "models" / "tiny", config(), "cpu")
    oracle, _ = engine.embed(cells("one"), project / "models" / "tiny", config(implementation="upstream"), "cpu")
    assert native.shape == (40, 8)
    assert notes["n_genes_missing"] == 0
    np.testing.assert_allclose(native, oracle, atol=1e-5)
    assert pd.read_csv(project / "plots/pretrain/tiny.csv")["step"].tolist() == [1, 2, 3, 4, 5, 6]
    card = json.loads((project / "models/tiny/card.json").read_text())
    weights = torch.load(project / "models/tiny/best_model.pt", weights_only=True)
    assert (card["n_cells"], card["n_genes"], card["steps"]) == ({"one": 40, "two": 40}, 60, 6)
    assert card["n_weights"] == sum(weight.numel() for weight in weights.values())
    assert card["options"] == PRETRAIN
    assert card["description"].startswith("A small scGPT, trained here: masked prediction of binned expression")
    assert "not a released checkpoint" in card["limits"] and "In-domain" in card["limits"]


def test_equal_runs_give_equal_bytes_and_another_seed_other_weights(project: Path) -> None:
    run()
    first = outputs(project)
    run()
    assert outputs(project) == first
    settings({"seed": 1})
    run()
    assert outputs(project)["best_model.pt"] != first["best_model.pt"]


@pytest.mark.parametrize("engine", ["scgpt", "geneformer"])
def test_corpora_in_parts_train_the_same_model_and_are_never_whole_in_memory(
    project: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    shared = {key: value for key, value in PRETRAIN.items() if key not in ("n_bins", "asked_genes")}
    settings({}, pretrain=(PRETRAIN if engine == "scgpt" else shared) | {"steps": 3}, engine=engine)
    for dataset in GENES:
        corpus = cells(dataset)
        corpus.var["ensembl_id"] = [f"ENSG{int(name[1:]):011d}" for name in corpus.var_names]
        corpus.write_h5ad(f"data/corpus/{dataset}/cells.h5ad")
    assert run().exit_code == 0
    whole = outputs(project)
    monkeypatch.setattr(labelled_cells, "IN_ONE_FILE", 0)
    monkeypatch.setattr(parts, "CELLS", 14)
    monkeypatch.setattr(labelled_cells.Cells, "whole", None)
    for dataset in GENES:
        corpus = labelled_cells.corpus_of(dataset)
        x, obs = matrix.in_memory(cells(dataset).X), pd.DataFrame(index=cells(dataset).obs_names)
        digests = np.array([f"{i}".encode() for i in range(len(obs))])
        with files.replacing_folder(Path("data/corpus", dataset)) as folder:
            labelled.write(folder, labelled.Chosen(x, obs, digests), corpus.var, {"x": "counts"}, dataset, obs=False)
        assert len(labelled_cells.corpus_of(dataset).parts) == 3
    result = run()
    assert result.exit_code == 0, result.output
    assert outputs(project) == whole


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (
            lambda: settings({"steps": 0}),
            2,
            "models/tiny.yaml: pretrain.steps: should be greater than or equal",
        ),
        (lambda: settings({"batch_size": 1}), 2, "batch_size 1 has no cell for each of one, two"),
        (lambda: settings({}, pretrain=None), 2, "models/tiny.yaml has no `pretrain`"),
        (lambda: Path("models/tiny.yaml").unlink(), 2, "models/tiny.yaml: no such file"),
        (lambda: Path("data/corpus/two/cells.h5ad").unlink(), 1, "data/corpus/two/cells.h5ad: no such file; run the"),
        (
            lambda: cells("two")[:0].copy().write_h5ad("data/corpus/two/cells.h5ad"),
            1,
            "data/corpus/two: 0 cells are outside the evaluated subset, pretraining needs 4 or more",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_leaves_the_earlier_model(
    project: Path, change: Any, code: int, text: str
) -> None:
    run()
    before = outputs(project)
    change()
    result = run()
    assert result.exit_code == code
    assert text in result.output and result.output.count("\n") == 1
    assert outputs(project) == before

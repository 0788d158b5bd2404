"""The commands: coordinates and pictures from embeddings, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from genept.data import embeddings
from stages.plot import main
from tests.plots.made import N_CELLS, OPTIONS, clusters

pytestmark = pytest.mark.xdist_group("umap")  # one process imports it and compiles its functions


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A dataset of 60 cells with two embeddings and a fine-tuned one, in the current folder."""
    monkeypatch.chdir(tmp_path)
    params = {
        "seed": 0,
        "threads": 1,
        "datasets": {"tiny": {"title": "Tiny cells", "note": "made up"}},
        "models": {"expression": {"title": "Expression"}, "good": {"title": "Good"}, "tuned": {"title": "Tuned"}},
        "umap": OPTIONS,
    }
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    matrix, labels = clusters()
    ids = [f"cell{i}" for i in range(N_CELLS)]
    obs = pd.DataFrame({"cell_type": labels, "patient": labels // 2}, index=pd.Index(ids, name="cell_id"))
    Path("data/tiny").mkdir(parents=True)
    obs.to_csv("data/tiny/obs.csv")
    embeddings.write("tiny", "expression", matrix, ids, {})
    embeddings.write("tiny", "good", matrix[:, :10], ids, {})
    embeddings.write("tiny", "tuned", matrix[:, :5], ids, {"unseen_cells": [1, 5, *range(20, 32)]})
    return params


def call(*arguments: str):
    return CliRunner().invoke(main, arguments)


def test_commands_write_coordinates_and_a_picture(project):
    assert call("baseline", "tiny", "expression").exit_code == 0
    result = call("panel", "tiny", "good", "--above", "expression")
    assert result.exit_code == 0, result.output
    for model in ("expression", "good"):
        found = np.load(f"data/tiny/umap/{model}.npy")
        assert found.shape == (N_CELLS, 2)
        assert np.isfinite(found).all()
    assert Path("plots/umap/tiny/good.png").read_bytes().startswith(b"\x89PNG")
    assert "60 of 60 cells" in result.output


def test_only_unseen_cells_of_a_fine_tuned_embedding_are_laid_out(project):
    call("baseline", "tiny", "expression")
    result = call("panel", "tiny", "tuned", "--above", "expression")
    assert "14 of 60 cells" in result.output
    found = np.load("data/tiny/umap/tuned.npy")
    assert np.flatnonzero(np.isfinite(found).all(axis=1)).tolist() == [1, 5, *range(20, 32)]


def test_caption_says_what_the_dataset_is_and_which_cells_are_drawn(project):
    from stages.plot import caption

    text = caption(project, "tiny", 14, 60)
    assert "Dataset tiny (made up)" in text
    assert "14 of 60 cells that fine-tuning has not seen" in text
    project["datasets"]["tiny"]["note"] = ""
    assert "Dataset tiny, 60 cells." in caption(project, "tiny", 60, 60)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("baseline", "tinny", "expression"), 2, "did you mean 'tiny'"),
        (("panel", "tiny", "bad", "--above", "expression"), 2, "no entry 'bad' under models"),
        (("panel", "tiny", "good", "--above", "worse"), 2, "no entry 'worse' under models"),
        (("panel", "tiny", "good", "--above", "expression"), 1, "data/tiny/umap/expression.npy: no such file"),
    ],
)
def test_what_is_missing_is_named_in_one_line(project, arguments, exit_code, message):
    result = call(*arguments)
    assert result.exit_code == exit_code
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not Path("plots").exists()


def test_coordinates_of_other_cells_are_refused(project):
    Path("data/tiny/umap").mkdir()
    np.save("data/tiny/umap/expression.npy", np.zeros((3, 2), dtype=np.float32))
    result = call("panel", "tiny", "good", "--above", "expression")
    assert result.exit_code == 1
    assert "3 rows for the 60 cells" in result.output


def test_unseen_cells_that_are_no_rows_are_refused(project):
    ids = [f"cell{i}" for i in range(N_CELLS)]
    embeddings.write("tiny", "tuned", np.ones((N_CELLS, 3)), ids, {"unseen_cells": [N_CELLS]})
    result = call("baseline", "tiny", "tuned")
    assert result.exit_code == 1
    assert "unseen_cells are not rows" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spread": None}, "umap.spread is missing"),
        ({"n_epoch": 3}, "umap.n_epoch is unknown"),
        ({"min_dist": 2.0}, "umap.min_dist must be from 0 to umap.spread, got 2.0, 1.0"),
        ({"n_neighbors": 1}, "umap.n_neighbors must be a whole number from 2, got 1"),
        ({"seed": "zero"}, "umap.seed must be a whole number from 0, got 'zero'"),
    ],
)
def test_wrong_options_are_named_in_one_line(project, change, message):
    options = {name: value for name, value in {**OPTIONS, **change}.items() if value is not None}
    Path("params.yaml").write_text(yaml.safe_dump({**project, "umap": options}), encoding="utf-8")
    result = call("baseline", "tiny", "expression")
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not Path("data/tiny/umap").exists()

"""The command: all pictures of a dataset, coordinates, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from genept.core.params import Models
from genept.data import embeddings
from stages.plot import main
from tests import helpers
from tests.plots.made import N_CELLS, SETTINGS, clusters, write_annotation

CUSTOM = "from genept.engines.config import ModelConfig as Model\n\n\ndef embed():\n    pass\n"
IDS = [f"cell{i}" for i in range(N_CELLS)]
MODELS = {"custom": ["expression"], "genept_w": ["worded"], "controls": ["random"], "finetuned": ["tuned"]}
SOURCE = {"kind": "local", "files": {"raw.h5ad": {"path": "x.h5ad"}}}
FINETUNED = {"base": "worded", "annotation": "cell_type", "finetune": {}, "unseen_cells": [1, 5, *range(20, 32)]}
DATASET = {"title": "Tiny cells", "note": "made up", "source": SOURCE, "obs": {"cell_type": "kind", "patient": "donor"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset with embeddings, one of them fine-tuned, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_settings()
    matrix, labels = clusters()
    obs = pd.DataFrame({"cell_type": labels, "patient": labels // 2}, index=pd.Index(IDS, name="cell_id"))
    Path("data/tiny/annotation").mkdir(parents=True)
    Path("data/tiny/labelled").mkdir()
    Path("data/tiny/annotation/summary.json").write_text('{"label_source": "author"}')
    obs.to_csv("data/tiny/labelled/obs.csv")
    for name in ("expression", "worded", "random"):
        draws = np.stack([matrix, -matrix[::-1]]) if name == "random" else matrix
        embeddings.write("tiny", name, draws, IDS, {})
        Path(f"models/{name}.py").write_text(CUSTOM)
    embeddings.write("tiny", "tuned", matrix[:, :5], IDS, FINETUNED)
    Path("models/tuned.py").write_text(CUSTOM)


def write_settings(baseline: str = "expression", **plot: Any) -> None:
    grid = {"datasets": ["tiny"], "models": {key: MODELS.get(key, []) for key in Models.model_fields}}
    grid |= {"pretrain": [], "ensemble": []}
    params = {"threads": 1, "baseline": baseline, "grid": grid, "plot": {**SETTINGS, **plot}}
    titles = {name: {"title": f"Model {name}"} for names in MODELS.values() for name in names}
    helpers.write_settings(Path.cwd(), params, {"tiny": DATASET}, titles)


def run(code: int = 0) -> str:
    done = CliRunner().invoke(main, ["tiny"])
    assert done.exit_code == code, done.output
    assert done.output.count("\n") == 1
    return done.output


def pictures() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(Path("plots").rglob("*.p*"))}


def test_all_models_and_controls_are_drawn_in_one_picture(project: None) -> None:
    Path("plots/umap/tiny").mkdir(parents=True)
    Path("plots/umap/tiny/of_another_grid.png").touch()
    assert run() == "tiny: 4 embeddings drawn\n"
    names = [f"plots/{kind}/tiny/{name}" for kind in ("pdf", "umap") for name in ("all_models", "cell_type")]
    assert [name.rpartition(".")[0] for name in pictures()] == names
    layouts = {path.stem: np.load(path) for path in Path("data/tiny/umap").iterdir()}
    assert {name: layout.shape for name, layout in layouts.items()} == dict.fromkeys(
        ("expression", "tuned", "worded", "random"), (N_CELLS, 2)
    )
    assert np.array_equal(layouts["random"], layouts["worded"])  # the first draw is the same matrix
    unseen = np.flatnonzero(np.isfinite(layouts["tuned"]).all(axis=1))
    assert unseen.tolist() == [1, 5, *range(20, 32)]
    assert list(Path("plots/annotation/tiny").iterdir()) == []
    cells = pd.read_csv("plots/cells/tiny.csv", index_col="cell_id")
    assert [*cells][:4] == ["cell_type", "patient", "expression_1", "expression_2"] and list(cells.index) == IDS
    np.testing.assert_allclose(cells[["tuned_1", "tuned_2"]], layouts["tuned"], atol=6e-5)


def test_an_annotation_is_drawn(project: None) -> None:
    write_annotation(Path("data/tiny/annotation"))
    assert run() == "tiny: 4 embeddings and the annotation drawn\n"
    evidence = {f"plots/annotation/tiny/{name}.png" for name in ("markers", "umap")}
    assert evidence < pictures().keys()


def damage_annotation() -> None:
    write_annotation(Path("data/tiny/annotation"))
    Path("data/tiny/annotation/clusters.csv").write_text("")


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda: write_settings(baseline="expresion"), 2, "baseline: 'expresion' is not in the grid; did you mean"),
        (lambda: write_settings(n_epoch=3), 2, "plot: no setting 'n_epoch'; did you mean 'n_epochs'?"),
        (lambda: write_settings(n_neighbors=1), 2, "plot.n_neighbors: should be greater than or equal to 2, got 1"),
        (lambda: write_settings(min_dist=2.0), 2, "plot: min_dist must be at most spread, 1.0"),
        (lambda: Path("models/worded.yaml").unlink(), 2, "models/worded.yaml: no such file"),
        (lambda: Path("data/tiny/embeddings/worded.json").unlink(), 1, "worded.json: no such file; run the stage"),
        (lambda: embeddings.write("tiny", "worded", np.ones((3, 3)), IDS[:3], {}), 1, "made for other cells"),
        (lambda: Path("data/tiny/annotation/summary.json").unlink(), 1, "annotation/summary.json: no such file"),
        (damage_annotation, 1, "annotation/clusters.csv: not what annotate writes (it is empty)"),
    ],
)
def test_a_refusal_is_one_line_and_writes_nothing(project: None, change: Any, code: int, text: str) -> None:
    change()
    assert text in run(code)
    assert not pictures() and not Path("data/tiny/umap").exists()

"""The commands: their files, what they say, and what the label stage reads of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import click.testing
import numpy as np
import pandas as pd
import pytest
import yaml

from genept.annotation import options, result
from genept.core import files
from genept.core.errors import InputError
from stages.annotate import main
from tests import helpers
from tests.annotation import made

pytestmark = pytest.mark.xdist_group("umap")

FOLDER = Path("data/mine/reanalysis")
PICTURES = Path("plots/reanalysis/mine")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reanalyse") / "raw.h5ad"
    cells = made.cells()
    cells.X[:3] = cells.X[:3].multiply(np.arange(cells.n_vars) < 3)  # three cells to drop
    cells.obs.loc[cells.obs_names[10], "kind"] = "Unknown"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for dataset in ("mine", "theirs"):
        Path(f"data/{dataset}/raw").mkdir(parents=True)
        shutil.copy(raw, f"data/{dataset}/raw/raw.h5ad")
    Path("data/reference/hgnc").mkdir(parents=True)
    shutil.copy(helpers.HGNC, "data/reference/hgnc/hgnc.tsv")
    made.write_table(options.FOLDER / "made.tsv", made.markers())
    write_params()
    return tmp_path


def write_params(change: Callable[[dict[str, Any]], Any] = lambda _: None, **entry: Any) -> None:
    params = made.params(**entry)
    change(params)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(*arguments: str, code: int = 0) -> str:
    done = click.testing.CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output


def contents(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_and_its_check(project: Path) -> None:
    said = run("run", "mine")
    assert said == "mine: 237 of 240 cells kept, 3 clusters; Blue 79, Green 79, Unknown 79\n"
    cells = pd.read_csv(FOLDER / "cells.csv", dtype=str, keep_default_na=False)
    source = anndata.read_h5ad("data/mine/raw/raw.h5ad")
    assert list(cells.columns) == ["cell_id", "cluster", "cell_type", "qc"]
    assert list(cells["cell_id"]) == list(source.obs_names)
    assert (cells.loc[:2, ["cluster", "cell_type", "qc"]] == ["", "", "few_genes"]).all(axis=None)
    clusters = pd.read_csv(FOLDER / "clusters.csv", keep_default_na=False)
    assert list(clusters["cluster"]) == [1, 2, 3] and clusters["n_cells"].sum() == 237
    np.testing.assert_allclose(clusters["margin"], clusters["score"] - clusters["runner_up_score"], atol=2e-4)
    assert sorted(clusters["cell_type"]) == ["Blue", "Green", "Unknown"]
    summary = files.read_json(FOLDER / "summary.json")
    assert (summary["label_source"], summary["method_version"]) == ("reanalysis", 1)
    assert summary["marker_table"]["sha256"] == files.sha256(options.FOLDER / "made.tsv")
    assert summary["choices"]["qc"]["min_genes"] == 5
    assert {path.name for path in PICTURES.iterdir()} == {"markers.png", "umap.png"}

    before = contents(FOLDER, PICTURES)
    run("run", "mine")
    assert contents(FOLDER, PICTURES) == before

    run("check", "mine")
    scores = json.loads(Path("metrics/reanalysis/mine.json").read_text())
    # of the 236 with a label (one of 240 is called Unknown, three are dropped) those of Red are wrong
    kinds = source.obs["kind"].astype(str).to_numpy()[3:]
    kinds = kinds[kinds != "Unknown"]
    assert scores["n_cells"] == len(kinds) == 236
    assert scores["accuracy"] == round(float((kinds != "Red").mean()), 4)
    assert scores["ari"] == 1.0
    classes = pd.read_csv("metrics/reanalysis/mine.csv")
    assert list(classes["label"]) == ["Blue", "Green", "Red"]
    assert list(classes["f1"]) == [1, 1, 0] and list(classes["most_frequent"]) == ["Blue", "Green", "Unknown"]


def test_the_types_are_read_by_the_label_stage(project: Path) -> None:
    run("run", "mine")
    found = result.read("mine")
    assert found is not None
    assert list(found.cell_types.index) == list(anndata.read_h5ad("data/mine/raw/raw.h5ad").obs_names)
    assert list(found.cell_types[:3]) == [None] * 3
    assert set(found.cell_types[3:]) == {"Blue", "Green", "Unknown"}
    assert found.summary["method_version"] == 1


def test_the_authors_types_are_never_read(project: Path) -> None:
    run("run", "mine")
    before = contents(FOLDER, PICTURES)
    path = Path("data/mine/raw/raw.h5ad")
    cells = anndata.read_h5ad(path)
    del cells.obs["kind"]
    cells.write_h5ad(path)
    run("run", "mine")
    assert contents(FOLDER, PICTURES) == before
    assert "obs has no column 'kind'" in run("check", "mine", code=1)


def test_logarithms_that_are_detected_are_not_taken_for_counts(project: Path) -> None:
    """The same values, declared and detected, give the same files; logged once more they would not."""
    path = Path("data/mine/raw/raw.h5ad")
    cells = anndata.read_h5ad(path)
    x = cells.X.tocsr().astype(np.float32)
    totals = np.asarray(x.sum(axis=1)).ravel()
    x.data = np.log1p(x.data / np.repeat(totals, np.diff(x.indptr)) * 1e4).astype(np.float32)
    cells.X = x
    cells.write_h5ad(path)
    write_params(lambda params: params["datasets"]["mine"].update(x="lognorm"))
    run("run", "mine")
    declared = contents(FOLDER)
    write_params(lambda params: params["datasets"]["mine"].update(x="detect"))
    run("run", "mine")
    assert contents(FOLDER) == declared


def test_a_data_set_that_asks_for_nothing_keeps_its_authors_labels(project: Path) -> None:
    run("run", "mine")
    for folder in ("data/theirs/reanalysis", "plots/reanalysis/theirs"):  # of an entry that once asked
        shutil.copytree(FOLDER, folder)
    run("run", "theirs")
    assert contents(Path("data/theirs/reanalysis")).keys() == {"data/theirs/reanalysis/summary.json"}
    assert files.read_json(Path("data/theirs/reanalysis/summary.json")) == {"label_source": "author"}
    assert list(Path("plots/reanalysis/theirs").iterdir()) == []
    assert result.read("theirs") is None
    assert "datasets.theirs has no reanalysis:" in run("check", "theirs", code=2)


def test_nothing_heavy_is_imported_where_nothing_is_asked(project: Path) -> None:
    code = (
        "import sys; from stages.annotate import main; main(['run', 'theirs'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'pandas', 'scanpy', 'matplotlib')))"
    )
    root = str(Path(files.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", code], cwd=project, env={"PYTHONPATH": root, "PATH": ""}, check=True)


def test_one_batch_has_no_panel_of_batches(project: Path) -> None:
    run("run", "mine")
    from PIL import Image

    width = Image.open(PICTURES / "umap.png").width
    write_params(batch=None)
    run("run", "mine")
    assert Image.open(PICTURES / "umap.png").width < width


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ({"names": {"Bleu": "B"}}, 2, "reanalysis.names: unknown key 'Bleu'; did you mean 'Blue'?"),
        ({"qc": {"min_genes": 90}}, 1, "mine: only 0 of 240 cells pass quality control"),
        ({"markers": "mode"}, 2, "no table 'mode'"),
    ],
)
def test_an_error_is_one_line_and_writes_nothing(project: Path, entry: dict[str, Any], code: int, text: str) -> None:
    run("run", "mine")
    before = contents(FOLDER, PICTURES)
    write_params(**entry)
    said = run("run", "mine", code=code)
    assert text in said and said.count("\n") == 1
    assert contents(Path("data/mine"), Path("plots")).items() >= before.items()
    assert not list(Path("data/mine").glob(".writing-*"))


def test_a_check_before_its_run_says_which_stage_is_missing(project: Path) -> None:
    assert "data/mine/reanalysis/summary.json: no such file; run the stage" in run("check", "mine", code=1)


def test_a_check_of_other_cells_says_so(project: Path) -> None:
    run("run", "mine")
    path = Path("data/mine/raw/raw.h5ad")
    anndata.read_h5ad(path)[:200].copy().write_h5ad(path)
    assert "not of the cells in data/mine/raw; `python -m stages.annotate run mine`" in run("check", "mine", code=1)


def test_a_data_set_without_labels_has_nothing_to_compare(project: Path) -> None:
    run("run", "mine")
    write_params(lambda params: params["datasets"]["mine"]["obs"].pop("cell_type"))
    assert "no file has the authors' cell_type, so there is nothing to compare with" in run("check", "mine", code=1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("summary.json", "{", "not readable as JSON"),
        ("summary.json", "{}", "has no label_source"),
        ("summary.json", '{"label_source": "reanalysis", "cells": {"ok": 3}}', "is not of the 1 cells in cells.csv"),
        ("cells.csv", "", "not a readable table"),
        ("cells.csv", "cell_id,cluster\na,1\n", "no column cell_type, qc"),
    ],
)
def test_damaged_files_are_said(project: Path, name: str, text: str, message: str) -> None:
    FOLDER.mkdir()
    (FOLDER / "summary.json").write_text('{"label_source": "reanalysis", "cells": {"ok": 1}}')
    (FOLDER / "cells.csv").write_text("cell_id,cluster,cell_type,qc\n007,1,Blue,ok\n")
    found = result.read("mine")
    assert found is not None and found.cell_types.to_dict() == {"007": "Blue"}
    (FOLDER / name).write_text(text)
    with pytest.raises(InputError, match=message):
        result.read("mine")

"""Embeddings put into somebody's AnnData: rows follow the cell ids, and nothing else in the file changes."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from click.testing import CliRunner, Result

from genept.core import files
from genept.data import cells, embeddings, parts
from genept.datasets import labelled, matrix
from stages.export import main
from tests.helpers import write_settings

IDS = ["007", "08", "a-1", "b-1", "c-1", "d-1"]  # the first two would be numbers to a careless reader
VECTORS = np.arange(18, dtype=np.float32).reshape(6, 3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    titles = {name: {"title": name} for name in ("one", "two", "unmade", "other")}
    write_settings(tmp_path, {"threads": 1}, datasets={"blood": {"title": "Blood"}}, models=titles)
    Path("data/blood/labelled").mkdir(parents=True)
    make(IDS).write_h5ad("data/blood/labelled/cells.h5ad")
    pd.DataFrame({"cell_type": "B"}, index=pd.Index(IDS, name="cell_id")).to_csv("data/blood/labelled/obs.csv")
    embeddings.write("blood", "one", VECTORS, IDS, {})
    embeddings.write("blood", "two", -VECTORS[:, :2], IDS, {})
    embeddings.write("blood", "other", VECTORS, IDS[::-1], {})
    return tmp_path


def make(ids: list[str]) -> anndata.AnnData:
    x = sp.random(len(ids), 9, density=0.4, random_state=0, format="csr", dtype=np.float32)
    obs = pd.DataFrame({"leiden": pd.Categorical(["0"] * len(ids))}, index=ids)
    umap = {"X_umap": np.ones((len(ids), 2))}
    return anndata.AnnData(x, obs=obs, uns={"x": "counts"}, obsm=umap, layers={"spliced": x * 2})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_embeddings_go_into_a_copy_of_the_cells_and_replace_an_earlier_export(project: Path) -> None:
    before = files.sha256(Path("data/blood/labelled/cells.h5ad"))
    result = run("blood", "one", "two", "--output", "out.h5ad")
    assert result.exit_code == 0 and result.output == "out.h5ad: X_one, X_two for 6 cells\n"
    data = anndata.read_h5ad("out.h5ad")
    np.testing.assert_array_equal(data.obsm["X_one"], VECTORS)
    np.testing.assert_array_equal(data.obsm["X_two"], -VECTORS[:, :2])
    assert data.obsm["X_one"].dtype == np.float32 and files.sha256(Path("data/blood/labelled/cells.h5ad")) == before
    embeddings.write("blood", "one", VECTORS[:, :1] + 5, IDS, {})
    assert run("blood", "one", "--into", "out.h5ad").exit_code == 0
    np.testing.assert_array_equal(anndata.read_h5ad("out.h5ad").obsm["X_one"], VECTORS[:, :1] + 5)


def test_rows_follow_the_cell_ids_of_the_file_and_all_else_stays(project: Path) -> None:
    mine = make(["c-1", "007", "d-1"])
    mine.write_h5ad("mine.h5ad")
    result = run("blood", "one", "--into", "mine.h5ad")
    assert result.exit_code == 0, result.output
    data = anndata.read_h5ad("mine.h5ad")
    np.testing.assert_array_equal(data.obsm["X_one"], VECTORS[[4, 0, 5]])
    np.testing.assert_array_equal(data.obsm["X_umap"], mine.obsm["X_umap"])
    assert (data.X != mine.X).nnz == 0 and (data.layers["spliced"] != mine.layers["spliced"]).nnz == 0
    pd.testing.assert_frame_equal(data.obs, mine.obs)
    assert data.uns["x"] == "counts"
    make(["a-1", "stranger", "08"]).write_h5ad("mine.h5ad")
    result = run("blood", "one", "--into", "mine.h5ad", "--missing", "nan")
    assert result.output == "mine.h5ad: X_one for 3 cells; 1 of them have no embedding and got NaN\n"
    expected = [VECTORS[2], [np.nan] * 3, VECTORS[1]]
    np.testing.assert_array_equal(anndata.read_h5ad("mine.h5ad").obsm["X_one"], expected)


def test_cells_in_parts_are_written_as_those_in_one_file_a_part_in_memory(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_cells, peak = 2000, 0
    x = sp.random(n_cells, 1000, density=0.5, random_state=0, format="csr", dtype=np.float32)
    x.data = np.ceil(x.data * 9)
    kinds = pd.Categorical(np.array(["B", "T", "Unknown"])[np.arange(n_cells) % 3])
    obs = pd.DataFrame({"cell_type": kinds}, index=pd.Index([f"c{i}" for i in range(n_cells)], name="cell_id"))
    var = pd.DataFrame({"ensembl_id": ""}, index=pd.Index([f"G{i}" for i in range(1000)], name="symbol"))
    chosen = labelled.Chosen(matrix.in_memory(x), obs, np.zeros(n_cells, "S1"))
    vectors = np.random.default_rng(0).random((n_cells, 3), np.float32)
    monkeypatch.setattr(parts, "CELLS", 200)
    embeddings.write("blood", "one", vectors, list(obs.index), {})
    for form, most in (("few", n_cells), ("many", 0)):
        monkeypatch.setattr(cells, "IN_ONE_FILE", most)
        with files.replacing_folder(cells.labelled("blood")) as folder:
            labelled.write(folder, chosen, var, {"x": "counts", "x_dtype": "float32"}, "blood")
        tracemalloc.start()
        result = run("blood", "one", "--output", f"{form}.h5ad")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.exit_code == 0, result.output
    few, many = (anndata.read_h5ad(f"{form}.h5ad") for form in ("few", "many"))
    for name in ("obs", "var"):
        pd.testing.assert_frame_equal(getattr(many, name), getattr(few, name))
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(many.X, name), getattr(few.X, name))
    np.testing.assert_array_equal(many.obsm["X_one"], vectors)
    assert many.X.dtype == few.X.dtype and many.uns == few.uns and peak < x.data.nbytes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("blood one", 2, "say where to write: --output FILE.h5ad, or --into"),
        ("blood one --output data/blood/labelled/cells.h5ad", 2, "belongs to the pipeline"),
        ("blood one --into data/blood/labelled/cells.h5ad", 2, "belongs to the pipeline"),
        ("blood one --output params.yaml", 2, "params.yaml: is written as h5ad; give an --output whose name ends in"),
        ("blood one --into params.yaml", 2, "params.yaml: is written as h5ad; give an --output whose name ends in"),
        ("blood one --output data/raw/new.h5ad", 2, "data/raw/new.h5ad belongs to the pipeline"),
        ("bloot one --output o.h5ad", 2, "did you mean 'blood'"),
        ("blood unmade --output o.h5ad", 1, "data/blood/embeddings/unmade.json: no such file; run the stage"),
        ("blood other --output o.h5ad", 1, "made for other cells"),
        ("blood one --into twice.h5ad --output o.h5ad", 1, "cell id 'a-1' occurs more than once"),
        ("blood one --into text.h5ad --output o.h5ad", 1, "text.h5ad: damaged, cut short or not a file of cells"),
        ("blood one --into linked.h5ad", 1, "linked.h5ad: refused, obsm is a link to another file"),
        ("blood one --into pipe.h5ad --output o.h5ad", 1, "pipe.h5ad: is a pipe, a socket or a device, not a file"),
        ("blood one --into empty.h5ad --output o.h5ad", 1, "empty.h5ad: no table obs in it"),
        ("blood one --into others.h5ad --missing nan", 1, "2 of 2 cells have no embedding"),
        ("blood one --into mine.h5ad", 1, "1 of 2 cells have no embedding, the first is 'stranger'; --missing nan"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(project: Path, arguments: str, code: int, message: str) -> None:
    with pytest.warns(UserWarning, match="not unique"):
        make(["a-1", "a-1"]).write_h5ad("twice.h5ad")
    make(["x", "y"]).write_h5ad("others.h5ad")
    make(["a-1", "stranger"]).write_h5ad("mine.h5ad")
    Path("text.h5ad").write_text("cell_id,X\n")
    h5py.File("empty.h5ad", "w").close()
    make(["a-1"]).write_h5ad("linked.h5ad")
    with h5py.File("linked.h5ad", "a") as file:
        del file["obsm"]
        file["obsm"] = h5py.ExternalLink("others.h5ad", "/obsm")
    os.mkfifo("pipe.h5ad")
    stage = {"cmd": "x", "outs": [{"path": "data/raw", "md5": "0.dir"}]}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"fetch@blood": stage}}))
    before = {path: files.sha256(path) for path in project.rglob("*") if path.is_file()}
    result = run(*arguments.split())
    assert result.exit_code == code
    assert result.output.startswith("Error: ") and message in result.output and result.output.count("\n") == 1
    assert {path: files.sha256(path) for path in project.rglob("*") if path.is_file()} == before

"""The embed command, log-normalised expression and its PCA, and models that are a file of their own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from click.testing import CliRunner, Result

from stages import device, embeddings, expression
from stages.embed.__main__ import main
from stages.errors import InputError, ParamsError
from tests import helpers

OWN = """
import numpy as np
from stages.errors import InputError

def embed(cells, folder, options, device):
    if options.get("fail"):
        raise InputError("the model is out of order")
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * options["factor"]
    return np.column_stack([totals, totals + 1]), {"comparable": True, "folder_is": folder.name, "device_is": device}
"""


def make_cells(n_cells: int, n_genes: int, x: str = "counts", seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.3, 2.0, size=(4, n_genes))[rng.integers(4, size=n_cells)]
    counts = rng.poisson(rates).astype(np.float32)
    if x == "lognorm":
        counts = np.log1p(counts / 3)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=var, uns={"x": x})


def log_normalised(cells: anndata.AnnData) -> np.ndarray:
    dense = cells.X.toarray().astype(float)
    if cells.uns["x"] == "lognorm":
        return dense
    totals = dense.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(dense * 10_000, totals, out=np.zeros_like(dense), where=totals > 0))


@pytest.fixture(scope="module")
def baseline() -> ModuleType:
    spec = importlib.util.spec_from_file_location("baseline", helpers.ROOT / "models/expression/embed.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/mine").mkdir(parents=True)
    (tmp_path / "models/mine/embed.py").write_text(OWN)
    (tmp_path / "data/blood").mkdir(parents=True)
    make_cells(12, 5).write_h5ad(tmp_path / "data/blood/cells.h5ad")
    write_params(mine={"title": "Mine", "factor": 2, "source": {"kind": "local"}})
    return tmp_path


def write_params(**models: dict[str, Any]) -> None:
    titled = {name: {"title": name} | entry for name, entry in models.items()}
    params = {"threads": 1, "device": "cpu", "datasets": {"blood": {}}, "models": titled}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("x", ["counts", "lognorm"])
def test_expression_is_log_normalised_only_if_it_is_counts(x: str) -> None:
    cells = make_cells(30, 20, x)
    cells.X = sp.csr_matrix(cells.X.toarray() * (np.arange(30) != 4)[:, np.newaxis])  # an empty cell stays empty
    found = expression.log_normalise(cells)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), log_normalised(cells), rtol=1e-6)


def test_coverage_counts_what_a_model_does_not_see() -> None:
    x = sp.csr_matrix(np.array([[1, 0, 3], [0, 0, 6], [0, 0, 0]], dtype=np.float32))
    cells = anndata.AnnData(x, var=pd.DataFrame(index=["A", "B", "C"]))
    assert expression.coverage(cells, np.array([True, True, False])) == {
        "n_genes": 3,
        "n_genes_missing": 1,
        "share_of_counts_missing": 0.9,
        "n_cells_without_gene": 2,
    }
    with pytest.raises(InputError, match=r"none of the 3 genes \(A, B, C, \.\.\.\)"):
        expression.coverage(cells, np.zeros(3, dtype=bool))


@pytest.mark.parametrize("x", ["counts", "lognorm"])
@pytest.mark.parametrize("shape", [(80, 40), (40, 80)])
def test_the_baseline_is_an_exact_pca_with_fixed_signs(baseline: ModuleType, x: str, shape: tuple[int, int]) -> None:
    cells = make_cells(*shape, x)
    matrix, notes = baseline.embed(cells, Path(), {"n_components": 10}, "cpu")
    centred = log_normalised(cells) - log_normalised(cells).mean(axis=0)
    _, _, loadings = np.linalg.svd(centred, full_matrices=False)
    loadings = loadings[:10]
    signs = [1 if max(row, key=abs) > 0 else -1 for row in loadings.tolist()]
    np.testing.assert_allclose(matrix, centred @ loadings.T * signs, atol=1e-4 * np.abs(centred).max())
    assert matrix.dtype == np.float32 and matrix.shape == (shape[0], 10)
    assert notes["comparable"] is True and notes["n_genes"] == shape[1]


def test_the_baseline_agrees_with_scikit_learn_signs_included(baseline: ModuleType) -> None:
    from sklearn.decomposition import PCA

    cells = make_cells(50, 30)
    matrix, _ = baseline.embed(cells, Path(), {"n_components": 5}, "cpu")
    expected = PCA(5, svd_solver="full").fit_transform(expression.log_normalise(cells).toarray().astype(float))
    np.testing.assert_allclose(matrix, expected, rtol=1e-5, atol=1e-5)


def test_the_baseline_does_not_depend_on_the_number_of_threads(baseline: ModuleType) -> None:
    from threadpoolctl import threadpool_limits

    x = expression.log_normalise(make_cells(300, 200))
    with threadpool_limits(1):
        one = baseline.principal_components(x, 20)
    with threadpool_limits(2):
        np.testing.assert_array_equal(baseline.principal_components(x, 20), one)


def test_few_cells_have_few_components(baseline: ModuleType) -> None:
    matrix, _ = baseline.embed(make_cells(6, 40), Path(), {"n_components": 50}, "cpu")
    assert matrix.shape == (6, 5)


def test_the_command_runs_a_models_own_file_and_writes_provenance(project: Path) -> None:
    result = run("blood", "mine")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("blood x mine: 12 cells, 2 dimensions, ")
    cells = make_cells(12, 5)
    matrix = embeddings.read("blood", "mine", list(cells.obs_names))
    totals = cells.X.toarray().sum(axis=1) * 2
    np.testing.assert_array_equal(matrix, np.column_stack([totals, totals + 1]))
    assert matrix.dtype == np.float32
    notes = embeddings.read_notes("blood", "mine")
    assert notes["engine"] == "own" and notes["x"] == "counts" and notes["options"] == {"factor": 2}
    assert notes["folder_is"] == "mine" and notes["device_is"] == "cpu" and notes["comparable"] is True
    assert len(notes["options_sha256"]) == 64


def test_the_command_says_how_many_genes_a_model_does_not_know(project: Path) -> None:
    text = OWN.replace('{"comparable": True,', '{"comparable": True, "n_genes": 5, "n_genes_missing": 2,')
    Path("models/mine/embed.py").write_text(text)
    assert run("blood", "mine").output.endswith(" s; 2 of 5 genes unknown to the model\n")
    Path("models/mine/embed.py").write_text(text.replace('"device_is"', '"device"'))
    assert run("blood", "mine").output.endswith(" s on cpu; 2 of 5 genes unknown to the model\n")


def test_equal_runs_give_equal_bytes_and_other_options_another_digest(project: Path) -> None:
    paths = [embeddings.matrix_path("blood", "mine"), embeddings.notes_path("blood", "mine")]
    run("blood", "mine")
    before = [path.read_bytes() for path in paths]
    digest = embeddings.read_notes("blood", "mine")["options_sha256"]
    run("blood", "mine")
    assert [path.read_bytes() for path in paths] == before
    write_params(mine={"factor": 2, "source": {"kind": "local", "version": 2}})
    run("blood", "mine")
    assert embeddings.read_notes("blood", "mine")["options_sha256"] != digest


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["blod", "mine"], 2, "no entry 'blod' under datasets.* did you mean 'blood'"),
        (["blood", "mien"], 2, "no entry 'mien' under models.* did you mean 'mine'"),
        (["blood", "typo"], 2, r"models\.typo: .* no engine 'genept_x'; it has .*genept_s, genept_w"),
        (["blood", "private"], 2, "no engine '__main__'"),
        (["blood", "absent"], 1, r"models/absent/embed\.py: no such file"),
        (["blood", "hollow"], 1, r"models/hollow/embed\.py: no function `embed` in it"),
        (["blood", "broken"], 1, "broken on blood: the model is out of order"),
        (["blood", "unmade"], 1, r"models/unmade/vectors\.npy: no such file; run the stage that makes it"),
    ],
)
def test_bad_requests_are_one_line(project: Path, arguments: list[str], code: int, message: str) -> None:
    import re

    for name in ("hollow", "broken"):
        Path("models", name).mkdir()
    Path("models/hollow/embed.py").write_text("x = 1\n")
    Path("models/broken/embed.py").write_text(OWN)
    write_params(
        mine={"factor": 2},
        typo={"engine": "genept_x"},
        private={"engine": "__main__"},
        absent={},
        hollow={},
        broken={"fail": True},
        unmade={"engine": "genept_w"},
    )
    result = run(*arguments)
    assert result.exit_code == code
    assert re.search(message, result.output), result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert not Path("data/blood/embeddings").exists()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_an_embedding_that_is_not_finite_is_refused(project: Path, value: str) -> None:
    Path("models/mine/embed.py").write_text(OWN.replace("totals + 1", f"totals * float('{value}')"))
    result = run("blood", "mine")
    assert result.exit_code == 1 and "12 of 12 cells have NaN or infinite coordinates" in result.output
    assert not embeddings.notes_path("blood", "mine").exists()
    assert not embeddings.matrix_path("blood", "mine").exists()


def test_a_damaged_dataset_is_one_line(project: Path) -> None:
    path = Path("data/blood/cells.h5ad")
    path.write_bytes(path.read_bytes()[:3000])
    result = run("blood", "mine")
    assert result.exit_code == 1 and "data/blood/cells.h5ad: not a readable h5ad file" in result.output
    assert result.output.count("\n") == 1


def test_the_help_says_what_is_read_and_written() -> None:
    text = run("--help").output
    assert "data/DATASET/cells.h5ad" in text and "data/DATASET/embeddings/MODEL.npy" in text


def test_the_device_is_resolved_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert device.resolve("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device.resolve("auto"), device.resolve("cuda")) == ("cuda", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.resolve("auto") == "cpu"
    with pytest.raises(ParamsError, match="torch sees no GPU"):
        device.resolve("cuda")
    with pytest.raises(ParamsError, match="device must be auto, cpu or cuda, got 'gpu'"):
        device.resolve("gpu")


def test_every_engine_of_the_default_models_exists() -> None:
    from stages.embed.__main__ import load_engine

    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text())
    entries = {name: params["models"][name] for name in params["grid"]["models"]}
    engines = {entry["engine"]: load_engine(name, entry) for name, entry in entries.items() if "engine" in entry}
    assert {"genept_w", "genept_s", "scgpt", "geneformer"} <= set(engines)


def test_every_gpu_gets_a_worker_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert device.workers("cpu") == ["cpu"]
    assert device.describe(["cpu"]) == "cpu"
    names = ["H200", "H200", "T4"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: names[int(name.removeprefix("cuda:"))])
    assert device.workers("auto") == ["cuda:0", "cuda:1", "cuda:2"]
    assert device.describe(device.workers("auto")) == "2 x H200, 1 x T4"

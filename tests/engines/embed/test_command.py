"""The embed command: engines, controls and custom models; refusals are one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from genept.core.errors import InputError, ParamsError
from genept.data import embeddings, gene_vectors
from genept.engines import config as models
from stages.embed import losses, main
from tests import helpers
from tests.engines.embed.made import make_cells

CUSTOM = """
import numpy as np
from genept.core.config import Config
from genept.core.errors import InputError
from genept.engines.config import ModelConfig

class Embed(Config):
    factor: int
    fail: bool = False

class Model(ModelConfig):
    embed: Embed

def embed(cells, folder, config, device):
    if config.embed.fail:
        raise InputError("the model is out of order")
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * config.embed.factor
    return np.column_stack([totals, totals + 1]), {"comparable": True, "folder_is": folder.name, "device_is": device}
"""
GENEPT_W = {"title": "t", "engine": "genept_w", "embed": {"unit_norm": False}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_models(mine={"title": "Mine", "embed": {"factor": 2}})
    Path("models/mine.py").write_text(CUSTOM)
    Path("data/blood/labelled").mkdir(parents=True)
    Path("data/blood.yaml").write_text("title: Blood\n")
    make_cells(12, 5).write_h5ad(tmp_path / "data/blood/labelled/cells.h5ad")
    return tmp_path


def write_models(seed: int = 0, **entries: dict[str, Any]) -> None:
    grid = {"models": {"genept_w": ["words"]}, "ensemble": []}
    params = {"threads": 1, "device": "cpu", "seed": seed, "grid": grid}
    helpers.write_settings(Path(), params, models=entries)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def embed(model: str) -> np.ndarray:
    result = run("blood", model)
    assert result.exit_code == 0, result.output
    return np.array(embeddings.read("blood", model, list(make_cells(12, 5).obs_names)))


def test_a_custom_model_runs_and_its_provenance_is_written(project: Path) -> None:
    result = run("blood", "mine")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("blood x mine: 12 cells, 2 dimensions, ")
    cells = make_cells(12, 5)
    matrix = embeddings.read("blood", "mine", list(cells.obs_names))
    totals = cells.X.toarray().sum(axis=1) * 2
    np.testing.assert_array_equal(matrix, np.column_stack([totals, totals + 1]))
    assert matrix.dtype == np.float32
    notes = embeddings.read_notes("blood", "mine")
    assert notes["engine"] == "custom" and notes["x"] == "counts"
    assert notes["config"] == {"factor": 2, "fail": False}
    assert notes["folder_is"] == "mine" and notes["device_is"] == "cpu" and notes["comparable"] is True
    paths = [embeddings.matrix_path("blood", "mine"), embeddings.notes_path("blood", "mine")]
    before = [path.read_bytes() for path in paths]
    run("blood", "mine")
    assert [path.read_bytes() for path in paths] == before, "equal runs give equal bytes"
    with pytest.raises(InputError, match=r"made for other cells .* `python -m stages\.embed blood mine` makes it anew"):
        embeddings.read("blood", "mine", list(cells.obs_names[::-1]))
    draws = embeddings.read_draws("blood", "mine", list(cells.obs_names))
    assert draws.shape == (1, 12, 2) and (draws[0] == matrix).all() and "n_draws" not in notes


def test_several_draws_are_one_file_and_the_first_is_read_as_the_embedding(project: Path) -> None:
    matrices, ids = np.arange(24, dtype=np.float32).reshape(2, 4, 3), list("abcd")
    embeddings.write("blood", "control", matrices, ids, {"n_draws": 99})
    first, notes = embeddings.read("blood", "control", ids), embeddings.read_notes("blood", "control")
    assert isinstance(first, np.memmap) and (first == matrices[0]).all()
    assert [notes[key] for key in ("n_cells", "n_dimensions", "n_draws")] == [4, 3, 2]
    for wrong, message in (
        (np.where(matrices == 23, np.nan, matrices), "1 of 4 cells have NaN or infinite coordinates"),
        (matrices[:, :3], r"gave \(2, 3, 3\) for 4 cells"),
        (matrices[:0], r"gave \(0, 4, 3\) for 4 cells"),
    ):
        with pytest.raises(InputError, match=message):
            embeddings.write("blood", "control", wrong, ids, {})
    np.testing.assert_array_equal(embeddings.read_draws("blood", "control", ids), matrices)


@pytest.mark.parametrize(
    ("notes", "n_zeros", "line"),
    [
        ({"n_genes": 5, "n_genes_missing": 2}, 0, "2 of 5 genes unknown to the model"),
        ({"n_cells_truncated": 4, "max_length": 99}, 0, "4 cells cut at the model's 99 tokens"),
        ({"n_truncated": 5, "max_length": 99}, 0, "5 cells cut at the model's 99 tokens"),
        ({"n_cells_without_gene": 2}, 0, "2 cells express no gene that the model knows"),
        ({"n_cells_without_gene": 2}, 2, "2 cells express no gene that the model knows (zeros)"),
        ({"n_truncated": 0, "max_length": 99, "n_cells_without_gene": 0}, 0, ""),
    ],
)
def test_the_command_reports_what_the_model_does_not_see(notes: dict[str, Any], n_zeros: int, line: str) -> None:
    assert "; ".join(losses(notes, n_zeros)) == line


@pytest.mark.parametrize("kind", ["random", "shuffled"])
def test_a_control_comes_from_the_first_model_and_the_seed(project: Path, kind: str) -> None:
    """Random vectors and permutation as documented, recomputed here symbol by symbol."""
    symbols = ["G3", "G0", "ELSEWHERE", "G4", "G1"]
    vectors = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    genes = [gene_vectors.VectorGene(symbol, "", 1, False, symbol) for symbol in symbols]
    gene_vectors.write(Path("models/words"), vectors, genes, {})
    write_models(words=GENEPT_W | {"vectors": {"released": "x"}}, control=GENEPT_W | {"control": kind, "draws": 2})
    of_words, of_seed_0 = embed("words"), embed("control")
    in_order = sorted(symbols)
    if kind == "random":
        drawn = dict(zip(in_order, np.random.default_rng(0).standard_normal((5, 3)), strict=True))
        norms = dict(zip(symbols, np.linalg.norm(vectors, axis=1), strict=True))
        control = {symbol: drawn[symbol] / np.linalg.norm(drawn[symbol]) * norms[symbol] for symbol in symbols}
    else:
        rows = np.random.default_rng(0).permutation([symbols.index(symbol) for symbol in in_order])
        control = dict(zip(in_order, vectors[rows], strict=True))
    x = make_cells(12, 5).X.toarray().astype(float)
    x = np.log1p(x / x.sum(axis=1, keepdims=True) * 10_000)
    x[:, 2] = 0  # G2 has no vector
    expected = x @ np.array([control.get(f"G{i}", np.zeros(3)) for i in range(5)]) / 5
    np.testing.assert_allclose(of_seed_0, expected, rtol=0, atol=1e-5)
    notes = embeddings.read_notes("blood", "control")
    assert [notes[key] for key in ("control", "control_of", "seed", "n_draws")] == [kind, "words", 0, 2]
    draws = embeddings.read_draws("blood", "control", list(make_cells(12, 5).obs_names))
    assert draws.shape == (2, 12, 3) and (draws[0] == of_seed_0).all() and (draws[1] != of_seed_0).any()
    assert run("blood", "control").output.startswith("blood x control: 12 cells, 3 dimensions, 2 draws, ")
    write_models(seed=1)
    assert (embed("control") != of_seed_0).any()
    np.testing.assert_array_equal(embed("words"), of_words)


def no_base() -> None:
    grid = {"models": {"genept_w": [], "controls": [], "finetuned": []}, "ensemble": []}
    helpers.write_settings(Path(), {"grid": grid}, models={"control": GENEPT_W | {"control": "random", "draws": 1}})


def not_finite() -> None:
    Path("models/mine.py").write_text(CUSTOM.replace("totals + 1", "totals * float('nan')"))


def damaged() -> None:
    path = Path("data/blood/labelled/cells.h5ad")
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("change", "dataset", "model", "code", "message"),
    [
        (None, "blod", "mine", 2, "data/blod.yaml: no such file; did you mean 'blood'?"),
        ({"engine": "genept_x"}, "blood", "new", 2, "models/new.yaml: no engine 'genept_x'; did you mean"),
        ({"engine": "network"}, "blood", "new", 2, "no engine 'network'"),
        ({}, "blood", "new", 2, "models/new.py: no such file; a model whose yaml names no engine needs it"),
        ("x = 1", "blood", "mine", 2, "models/mine.py: has no Model; models/expression.py is an example"),
        ({"engine": "genept_w", "embed": {"unit_nrom": True}}, "blood", "new", 2, "did you mean 'unit_norm'?"),
        (
            {"engine": "genept_w", "vectors": {"released": "x"}},
            "blood",
            "new",
            1,
            "models/new/vectors.npy: no such file; run the stage that makes",
        ),
        (no_base, "blood", "control", 2, "params.yaml: grid.models.genept_w is empty; a control is made from"),
        (CUSTOM.replace("fail: bool = False", "fail: bool = True"), "blood", "mine", 1, "mine on blood: the model is"),
        (not_finite, "blood", "mine", 1, "12 of 12 cells have NaN or infinite coordinates"),
        (CUSTOM.replace("return np", "return totals, {} #"), "blood", "mine", 1, "of shape (12,), expected a row"),
        (damaged, "blood", "mine", 1, "data/blood/labelled/cells.h5ad: damaged, cut short or not a file of cells"),
    ],
)
def test_refusals_are_one_line(
    project: Path,
    change: Callable[[], None] | str | dict[str, Any] | None,
    dataset: str,
    model: str,
    code: int,
    message: str,
) -> None:
    if isinstance(change, str):
        Path("models/mine.py").write_text(change)
    elif isinstance(change, dict):
        write_models(new={"title": "New", **change})
    elif change:
        change()
    result = run(dataset, model)
    assert result.exit_code == code and message in result.output, result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert not Path("data/blood/embeddings").exists()


def test_the_models_of_the_repository_have_an_embed_or_a_stage_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)
    for file in Path("models").glob("*.yaml"):
        config = models.read(file.stem)
        if config.engine == "finetuned":
            with pytest.raises(ParamsError, match="finetuned makes its embeddings in another stage"):
                models.code(file.stem, config)
        else:
            code = models.code(file.stem, config)
            assert callable(code.embed)

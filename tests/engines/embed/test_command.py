"""The embed command, and models that are a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from genept.data import embeddings
from stages.embed import main
from tests import helpers
from tests.engines.embed.made import make_cells

OWN = """
import numpy as np
from genept.core.errors import InputError

def embed(cells, folder, options, device):
    if options.get("fail"):
        raise InputError("the model is out of order")
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * options["factor"]
    return np.column_stack([totals, totals + 1]), {"comparable": True, "folder_is": folder.name, "device_is": device}
"""


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


def test_the_command_says_how_many_cells_were_cut_and_how_many_the_model_cannot_see(project: Path) -> None:
    notes = '"n_cells_truncated": 4, "max_length": 99, "n_cells_without_gene": 2'
    text = OWN.replace('{"comparable": True,', f'{{"comparable": True, {notes},')
    Path("models/mine/embed.py").write_text(text)
    told = " s; 4 cells cut at the model's 99 tokens; 2 cells express no gene that the model knows"
    assert run("blood", "mine").output.endswith(told + "\n")
    zeros = "np.column_stack([totals, totals + 1]) * (np.arange(12) > 1)[:, None]"
    Path("models/mine/embed.py").write_text(text.replace("np.column_stack([totals, totals + 1])", zeros))
    assert run("blood", "mine").output.endswith(told + " (zeros)\n")
    Path("models/mine/embed.py").write_text(text.replace('"n_cells_truncated": 4', '"n_truncated": 5'))
    assert "; 5 cells cut at the model's 99 tokens; 2 cells" in run("blood", "mine").output
    none = text.replace('"n_cells_truncated": 4', '"n_truncated": 0').replace('gene": 2', 'gene": 0')
    Path("models/mine/embed.py").write_text(none)
    assert run("blood", "mine").output.endswith(" s\n")


NETWORK = """
import numpy as np, torch
from genept.engines.network import batching

def embed(cells, folder, options, device):
    def forward(device, batch):
        return torch.ones(len(batch), 3)
    return batching.run(forward, np.ones(len(cells), dtype=int), 3, ["cpu"], "cells"), {"comparable": True}
"""


def test_a_network_says_at_the_beginning_what_it_computes_and_where(project: Path) -> None:
    Path("models/mine/embed.py").write_text(NETWORK)
    result = run("blood", "mine")
    assert result.stderr == "blood x mine: 12 cells on cpu\n"
    assert result.stdout.startswith("blood x mine: 12 cells, 3 dimensions, ")


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


def test_every_engine_of_the_default_models_exists() -> None:
    from stages.embed import load_engine

    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text())
    entries = {name: params["models"][name] for name in params["grid"]["models"]}
    engines = {entry["engine"]: load_engine(name, entry) for name, entry in entries.items() if "engine" in entry}
    assert {"genept_w", "genept_s", "scgpt", "geneformer"} <= set(engines)

"""Labelled cells in parts that were cut, changed or lost on disk: one line says which file, and what to do."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner

from genept.core import files
from genept.core.errors import InputError
from genept.data import cells, parts
from genept.datasets import copies, labelled, matrix
from stages.embed import main
from tests import helpers

N_CELLS = 40
FOLDER = Path("data/blood/labelled")
MODEL = """
from genept.core.config import Config
from genept.engines.config import ModelConfig

BY_PARTS = True

class Model(ModelConfig):
    pass

def embed(cells, folder, config, device):
    return cells.X.toarray(), {}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled dataset in four parts of 11 cells, and the last of 7."""
    folder = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(0)
    x = matrix.in_memory(sp.csr_matrix(rng.poisson(1.0, (N_CELLS, 9)).astype(np.float32)))
    names = pd.Index([f"cell{number}" for number in range(N_CELLS)], name="cell_id")
    obs = pd.DataFrame({"cell_type": np.array(["B", "T"])[np.arange(N_CELLS) % 2]}, index=names).astype("category")
    symbols = pd.Index([f"GENE{number}" for number in range(9)], name="symbol")
    var = pd.DataFrame({"ensembl_id": "", "original_symbol": symbols}, index=symbols)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few_cells(patch)
        chosen = labelled.Chosen(x, obs, copies.digests(x)[0])
        FOLDER.mkdir(parents=True)
        labelled.write(FOLDER, chosen, var, {"x": "counts", "x_dtype": "float32"}, "blood")
    return folder / FOLDER


def few_cells(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "CELLS", 11)
    patch.setattr(cells, "IN_ONE_FILE", 20)


@pytest.fixture
def project(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    few_cells(monkeypatch)
    shutil.copytree(made, FOLDER)
    params = {"threads": 1, "device": "cpu"}
    helpers.write_settings(Path(), params, {"blood": {"title": "Blood"}}, {"mine": {"title": "Mine"}})
    Path("models/mine.py").write_text(MODEL)
    return tmp_path


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(len(content)).randrange(len(content))])


def flip(path: Path) -> None:
    content, rng = path.read_bytes(), random.Random(path.name)
    place = rng.randrange(len(content))
    path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])


def edit(**changes: Any) -> Callable[[Path], None]:
    """Change the manifest."""
    return edited(lambda content: content.update(changes))


def edited(how: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        how(content)
        path.write_text(json.dumps(content))

    return change


def swap(content: dict[str, Any]) -> None:
    content["parts"][:2] = content["parts"][1::-1]


def swap_hashes(content: dict[str, Any]) -> None:
    first, second = content["parts"][:2]
    first["sha256"], second["sha256"] = second["sha256"], first["sha256"]


def swap_folders(path: Path) -> None:
    path.rename("other")
    path.with_name("00000.zarr").rename(path)
    Path("other").rename(path.with_name("00000.zarr"))


def add_a_file(path: Path) -> None:
    (path / "more").write_bytes(b"")


def remove_a_chunk(path: Path) -> None:
    (path / "X/data/c/0").unlink()


def gone(path: Path) -> None:
    files.remove(path)


PART = "parts/00001.zarr"
AGAIN = "`dvc repro --force --single-item label@blood` makes it again"
CUT = "(cut or changed, its sha256 is not that of the manifest)"
REFUSALS: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("parts/00001.zarr/X/data/c/0", cut, PART, CUT),
    ("parts/00001.zarr/X/data/c/0", flip, PART, CUT),
    ("parts/00001.zarr/X/indices/c/0", flip, PART, CUT),
    ("parts/00001.zarr/X/indptr/zarr.json", flip, PART, CUT),
    ("parts/00001.zarr/zarr.json", cut, PART, CUT),
    (PART, remove_a_chunk, PART, CUT),
    (PART, add_a_file, PART, CUT),
    (PART, swap_folders, "parts/00000.zarr", CUT),
    (PART, gone, PART, "no such folder; `dvc checkout` brings it back, or `dvc repro label@blood` makes it"),
    ("parts", gone, "parts/00000.zarr", "no such folder; `dvc checkout` brings it back"),
    ("obs.parquet", cut, "obs.parquet", CUT),
    ("obs.parquet", flip, "obs.parquet", CUT),
    ("obs.parquet", gone, "obs.parquet", "no such file; run the stage that makes it first, or `dvc repro`"),
    ("var.parquet", cut, "var.parquet", CUT),
    ("var.parquet", flip, "var.parquet", CUT),
    ("var.parquet", gone, "var.parquet", "no such file; run the stage that makes it first, or `dvc repro`"),
    ("manifest.json", cut, "manifest.json", "not what label writes (invalid JSON"),
    ("manifest.json", edit(n_cells=41), "manifest.json", "its parts have other sizes than 41 cells"),
    ("manifest.json", edit(n_cells=0), "manifest.json", "n_cells"),
    ("manifest.json", edit(n_cells="40"), "manifest.json", "n_cells"),
    ("manifest.json", edit(n_genes=8), "manifest.json", "not of these genes and values"),
    ("manifest.json", edit(uns={"x": "other"}), "manifest.json", "not of these genes and values"),
    ("manifest.json", edit(uns={}), "manifest.json", "not of these genes and values"),
    ("manifest.json", edit(n_ells=40), "manifest.json", "n_ells"),
    ("manifest.json", edit(parts=[]), "manifest.json", "its parts have other sizes than 40 cells"),
    ("manifest.json", edited(lambda content: content.pop("uns")), "manifest.json", "uns"),
    (
        "manifest.json",
        edited(lambda content: content["parts"].pop()),
        "manifest.json",
        "have other sizes than 40 cells",
    ),
    ("manifest.json", edited(lambda content: content["parts"].pop(1)), "manifest.json", "have other sizes than"),
    ("manifest.json", edited(lambda content: content["parts"][0].update(n_cells=12)), "manifest.json", "other sizes"),
    (
        "manifest.json",
        edited(lambda content: content["parts"][0].update(name="../00000.zarr")),
        "manifest.json",
        "name",
    ),
    ("manifest.json", edited(swap), "manifest.json", "its parts are not in their order"),
    ("manifest.json", edited(swap_hashes), "parts/00000.zarr", CUT),
    ("manifest.json", edit(obs_sha256="0" * 64), "obs.parquet", CUT),
    ("manifest.json", edit(var_sha256="0" * 63), "manifest.json", "var_sha256"),
]


@pytest.mark.parametrize(("name", "how", "named", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_label_did_not_write_is_refused_in_one_line(
    project: Path, name: str, how: Callable[[Path], None], named: str, text: str
) -> None:
    how(FOLDER / name)
    result = CliRunner().invoke(main, ["blood", "mine"])
    line = result.output.splitlines()[-1]
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output
    assert line.startswith("Error: ") and f"{FOLDER / named}: " in line and text in line, line
    assert "`dvc repro" in line
    assert result.output.count("Error") == 1 and not Path("data/blood/embeddings").exists()
    assert not list(Path().rglob(f"{files.WRITING}*"))


def test_annotations_that_label_did_not_write_are_refused_by_all_that_reads_them_alone(project: Path) -> None:
    assert len(cells.read_obs("blood")) == N_CELLS
    for damage in (cut, flip):
        content = (FOLDER / parts.OBS).read_bytes()
        damage(FOLDER / parts.OBS)
        with pytest.raises(InputError, match="its sha256 is not that of the manifest"):
            cells.read_obs("blood")
        (FOLDER / parts.OBS).write_bytes(content)


@pytest.mark.parametrize("n_cells", [0, 1, 10, 11, 12, 22, 40])
def test_cells_are_divided_into_full_parts_and_a_rest(n_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    few_cells(monkeypatch)
    rows = parts.divide(n_cells)
    assert [number for some in rows for number in range(n_cells)[some]] == list(range(n_cells))
    assert all(some.stop - some.start == 11 for some in rows[:-1]) and rows[-1].stop - rows[-1].start <= 11
    assert n_cells == 0 or rows[-1].stop > rows[-1].start


def test_a_hash_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    hashes = set()
    for name, content in (("a", b"x"), ("b", b"x"), ("a", b"y"), ("c/a", b"x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        hashes.add(parts.folder_sha256(tmp_path))
        (tmp_path / name).unlink()
    assert len(hashes) == 4

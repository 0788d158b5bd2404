"""What left the grid leaves no entry in dvc.lock and no file; what is in the grid, and files of the user, stay."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from genept.core.errors import ParamsError
from genept.repository import leaving
from tests import helpers

PIPELINE = """
stages:
  label:
    matrix: {dataset: "${grid.datasets}"}
    cmd: python -m label ${item.dataset}
    outs: ["data/${item.dataset}/cells", {"metrics/${item.dataset}.json": {cache: false}}]
  finetune:
    matrix: {dataset: "${grid.datasets}", model: "${grid.models}"}
    cmd: python -m finetune ${item.dataset} ${item.model}
    outs: ["models/${item.model}/${item.dataset}"]
"""
LOCKED = {  # outputs of the entries of dvc.lock
    "label@stays": ["data/stays/cells", "metrics/stays.json"],
    "label@leaves": ["data/leaves/cells", "metrics/leaves.json", "../outside"],
    "finetune@stays-head": ["models/head/stays"],
    "finetune@leaves-head": ["models/head/leaves"],
    "finetune@stays-old": ["models/old/stays"],
    "other": ["models/head"],  # around an output that stays
}
MORE = ["data/leaves.yaml", "data/cache/embed/leaves/m/1.npz", "data/never/cells/a", "models/own.py", "models/own/w"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "root"
    (root / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(root)
    helpers.run("git", "init", "-q", cwd=root)
    for name in [*(name for names in LOCKED.values() for name in names), *MORE]:
        if name != "models/head":
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
    stages = {name: {"cmd": "x", "outs": [{"path": out} for out in outs]} for name, outs in LOCKED.items()}
    texts = {"dvc.yaml": PIPELINE, "dvc.lock": yaml.safe_dump({"schema": "2.0", "stages": stages}), ".dvc/config": ""}
    texts["params.yaml"] = "grid: {datasets: [stays], models: [head]}\n"
    for name, text in texts.items():
        Path(name).write_text(text)
    return root


def names(root: Path) -> set[str]:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in found if re.match("data|models|metrics", name)}


def test_what_left_the_grid_is_removed_with_its_entries_and_nothing_else(folder: Path) -> None:
    before, grid = names(folder), ["stays", "head"]
    said = leaving.clean(grid, [], only_say=True)
    assert names(folder) == before and len(said) == 9
    assert leaving.clean(grid, []) == said
    left = {"data/leaves/cells", "metrics/leaves.json", "models/head/leaves", "models/old/stays"}
    assert names(folder) == before - left - {"data/cache/embed/leaves/m/1.npz"}
    assert not Path("data/leaves").exists() and Path("../outside").exists()
    kept = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    assert kept.keys() == {"label@stays", "finetune@stays-head"}
    assert leaving.clean(grid, []) == []


def put(name: str, age: int) -> str:
    """Write a file of 3 bytes whose last change, and that of its folder, was some seconds ago."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("abc")
    for one in (path, path.parent):
        os.utime(one, (1e9 - age, 1e9 - age))
    return name


def test_parts_of_earlier_runs_are_removed_and_those_of_a_run_that_goes_on_stay(folder: Path) -> None:
    embedded, labelled = "data/cache/embed/stays/head/parts", "data/cache/label/stays"
    stale = {put(f"{embedded}/{name}", 9) for name in ("b.npz", "c.npz", "run/1.npz")}
    stale |= {put(f"{labelled}/b.1.zarr/X/{name}", 9) for name in "de"}
    os.utime(f"{labelled}/b.1.zarr", (1e9 - 9, 1e9 - 9))
    for name in ("a.npz", ".writing-1/d.npz"):
        put(f"{embedded}/{name}", 9)
    for name in ("new.npz", "going/1.npz"):
        put(f"{embedded}/{name}", 0)
    put(f"{labelled}/a.1.zarr/X/d", 9)
    put("data/cache/embed/stays/head/1.npz", 9)
    put("data/cache/label/leaves/a.1.zarr/X/d", 0)
    for store, used in ((embedded, ["a.npz"]), (labelled, ["a.1.zarr"])):
        Path(store, "used.json").write_text(json.dumps(used))
        os.utime(f"{store}/used.json", (1e9 - 5, 1e9 - 5))
    before, grid = names(folder), ["stays", "head"]
    said = leaving.clean(grid, [], only_say=True)
    assert names(folder) == before
    assert said[-2:] == [f"{embedded}: 3 files, 0.0 MB of earlier runs", f"{labelled}: 2 files, 0.0 MB of earlier runs"]
    assert "data/cache/label/leaves: 1 files, 0.0 MB" in said and leaving.clean(grid, []) == said
    gone = {name for name in before - names(folder) if name.startswith("data/cache")}
    assert gone == stale | {"data/cache/label/leaves/a.1.zarr/X/d", "data/cache/embed/leaves/m/1.npz"}
    for damaged in ("", "{}"):
        Path(labelled, "used.json").write_text(damaged)
        assert leaving.clean(grid, []) == []


def test_a_name_that_never_finished_is_removed_and_one_in_the_grid_refused(folder: Path) -> None:
    removed = leaving.clean(["stays", "head"], ["never", "own"])
    assert "data/never/cells" in removed and not Path("data/never").exists() and Path("models/own/w").exists()
    with pytest.raises(ParamsError, match="'stays' is in the grid; take it out first"):
        leaving.clean(["stays"], ["stays"])


def test_what_a_stage_reads_or_git_tracks_is_not_removed(folder: Path) -> None:
    pattern, stages = "models/${item.model}", yaml.safe_load(PIPELINE)["stages"]
    stages["fetch"] = {"matrix": {"model": "${grid.models}"}, "cmd": "x", "deps": ["models/read"], "outs": [pattern]}
    stages.pop("finetune")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for name in ("read", "tracked", "gone"):
        Path("models", name).mkdir()
        Path("models", name, "a").touch()
    helpers.run("git", "add", "models/tracked/a", cwd=folder)
    assert "models/gone" in leaving.clean(["stays", "head"], ["read", "tracked", "gone"])
    assert Path("models/read/a").exists() and Path("models/tracked/a").exists() and not Path("models/gone").exists()

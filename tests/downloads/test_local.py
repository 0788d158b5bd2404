"""Files that a user got by hand: where they are expected, and how the error tells where to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.downloads.loopback import invoke, refusal


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir(exist_ok=True)
    (tmp_path / "home" / "got").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def source(path: str = "labels.csv", **changes: Any) -> dict[str, Any]:
    return {"kind": "local", "files": {"a.csv": {"path": path}}, **changes}


@pytest.mark.parametrize("folder", ["got", "~/got", "{home}/got"])
def test_a_path_starts_at_the_folder(project: Path, folder: str) -> None:
    for place in (project / "home" / "got", project / "project" / "got"):
        place.mkdir(exist_ok=True)
        (place / "labels.csv").write_bytes(b"x")
    assert invoke(source(folder=folder.format(home=project / "home"))).exit_code == 0
    assert Path("models/m/a.csv").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["~/got/labels.csv", "{home}/got/labels.csv"])
def test_an_absolute_path_needs_no_folder(project: Path, path: str) -> None:
    (project / "home" / "got" / "labels.csv").write_bytes(b"x")
    path = path.format(home=project / "home")
    assert invoke(source(path)).exit_code == 0
    assert invoke(source(path, folder="nowhere")).exit_code == 0


def test_a_missing_file_names_itself_its_folder_and_where_to_get_it(project: Path) -> None:
    where = "ask the authors of\nhttps://doi.org/10.1/x for the table."
    line = refusal(invoke(source(folder="~/got", where=where)))
    folder = project / "home" / "got"
    assert f"Error: {folder}/labels.csv: no such file; to get it: ask the authors of https://doi.org/10.1/x" in line
    assert f"for the table. Then put it into the folder {folder} as labels.csv" in line


def test_each_file_may_have_a_place_of_its_own() -> None:
    files = {"a.csv": {"path": "a.csv"}, "b.csv": {"path": "b.csv", "where": "the supplement"}}
    Path("a.csv").touch()
    assert "to get it: the supplement. Then" in refusal(invoke({**source(), "where": "the journal", "files": files}))
    Path("a.csv").unlink()
    assert "to get it: the journal. Then" in refusal(invoke({**source(), "where": "the journal", "files": files}))


def test_without_such_advice_the_path_is_to_be_corrected() -> None:
    assert "no such file; correct the path of a.csv in params.yaml, or put it there" in refusal(invoke(source()))


def test_a_folder_in_place_of_a_file_is_said() -> None:
    Path("labels.csv").mkdir()
    assert "labels.csv: is a folder, not a file" in refusal(invoke(source(where="the journal")))


def test_the_advice_is_no_part_of_where_a_file_came_from() -> None:
    Path("labels.csv").write_bytes(b"x")
    files = {"a.csv": {"path": "labels.csv", "sha256": "0" * 64}}
    line = refusal(invoke(source(where="the journal", files=files)))
    assert "a.csv (kind local, path labels.csv) has sha256" in line

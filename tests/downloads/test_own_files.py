"""The user's own files under DVC: a change is seen, wherever the file lies; nothing else runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from genept.downloads.config import read_sources
from genept.downloads.fetch import fetch
from genept.downloads.own_files import LIST
from tests.downloads.fetching import FOLDER

LINKS = Path("data/demo/local")
STAGE = "stages: {fetch: {cmd: 'true', outs: [data/demo/local: {cache: false, persist: true}]}}"


def get(*files: dict[str, Any]) -> list[str]:
    """Fetch files a, b and so on; return the names of the links."""
    items = {f"deep/{name}": {"kind": "local", **item} for name, item in zip("abc", files, strict=False)}
    fetch("data/demo", read_sources({"files": items}), FOLDER, links=LINKS)
    return sorted(path.relative_to(LINKS).as_posix() for path in LINKS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["{outside}/a.h5ad", "~/a.h5ad", "mine/a.h5ad", "../a.h5ad", "data/manual/../a.h5ad"])
def test_dvc_sees_that_a_file_changes(home: Path, tmp_path: Path, path: str) -> None:
    path = path.format(outside=tmp_path)
    file = Path(path).expanduser()
    for folder in (file.parent, Path("data/manual"), Path("mine")):
        folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"first")
    repo = Repo.init(no_scm=True)
    item = {"path": path, "sha256": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"}
    assert get(item) == [LIST, "deep/a"]
    Path("dvc.yaml").write_text(STAGE)
    repo.commit(force=True)
    assert repo.status() == {}
    file.write_bytes(b"other")
    assert repo.status() == {"fetch": [{"changed outs": {"data/demo/local": "modified"}}]}
    file.write_bytes(b"first")
    get(item)
    file.unlink()
    assert get(item) == [LIST, "deep/a"]  # a copy from the store, so that nothing has changed for DVC
    assert repo.status() == {}
    repo.close()


def test_links_are_those_of_the_settings(tmp_path: Path) -> None:
    for folder in ("data/manual", "data/markers", "mine"):
        Path(folder).mkdir(parents=True)
        Path(folder, "x").write_bytes(b"x")
    manual, markers, mine = ({"path": f"{folder}/x"} for folder in ("data/manual", "data/markers", "mine"))
    nowhere = {"path": "none", "optional": True}
    assert get(nowhere, mine, markers) == [LIST, "deep/b"]
    assert (LINKS / LIST).read_text().splitlines()[1:] == ["deep/a", "deep/b"]
    assert get(manual, mine) == [LIST, "deep/b"]
    assert get({**nowhere, "fallback": [{"kind": "local", **mine}]}) == [LIST, "deep/a", "deep/a.1"]
    assert (LINKS / "deep/a.1").readlink() == Path("mine/x").absolute()
    assert get(manual) == [LIST]
    assert str(tmp_path) not in (LINKS / LIST).read_text()

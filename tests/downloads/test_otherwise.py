"""An entry in place of one whose files are not there; only "not there" leads to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genept.downloads import retry as _retry
from genept.downloads.fallback import NOTE
from tests.downloads.loopback import invoke, refusal
from tests.downloads.server import Server

FOLDER = Path("models/m")


def source(url: str, other: Any) -> dict[str, Any]:
    return {"kind": "http", "files": {"own.csv": {"url": url}}, "otherwise": other}


def other(url: str) -> dict[str, Any]:
    return {"title": "Another", "source": {"kind": "http", "files": {"other.csv": {"url": url}}}}


def names() -> set[str]:
    return {path.name for path in FOLDER.iterdir()}


def test_files_that_are_there_come_and_nothing_is_noted(web: Server) -> None:
    result = invoke(source(web.put("/own.csv", b"own"), other(f"{web.url}/never")))
    assert result.exit_code == 0, result.output
    assert names() == {"own.csv"}
    assert not any("never" in path for path, _ in web.asked)


def test_of_files_that_are_not_there_the_other_entry_takes_the_place(web: Server) -> None:
    gone = web.put("/own.csv", status=404)
    result = invoke(source(gone, other(web.put("/other.csv", b"other"))))
    assert result.exit_code == 0, result.output
    assert names() == {"other.csv", NOTE}
    assert json.loads((FOLDER / NOTE).read_text()) == {"because": "it answered 404 (Not Found)"}
    assert "its `otherwise` takes its place" in result.output.splitlines()[0]
    web.put("/own.csv", b"own")  # it is there again
    assert invoke(source(gone, other(f"{web.url}/other.csv"))).exit_code == 0
    assert names() == {"own.csv"}


def test_any_other_failure_stops(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    line = refusal(invoke(source(web.put("/own.csv", status=503), other(web.put("/other.csv", b"other")))))
    assert "it answered 503" in line
    assert not FOLDER.exists()


def test_where_neither_is_there_the_last_is_said(web: Server) -> None:
    gone = web.put("/own.csv", status=404)
    result = invoke(source(gone, other(web.put("/other.csv", status=404))))
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(f"Error: {web.url}/other.csv: it answered 404 (Not Found)")
    assert not FOLDER.exists()


@pytest.mark.parametrize("wrong", ["aorta_geo", {"source": {"kind": "http", "files": {}, "otherwise": {}}}])
def test_what_is_no_entry_is_refused_before_anything_is_asked(web: Server, wrong: Any) -> None:
    result = invoke(source(f"{web.url}/own.csv", wrong))
    assert result.exit_code == 2
    assert "m.source.otherwise must be an entry whose source has no otherwise of its own" in result.output
    assert not web.asked

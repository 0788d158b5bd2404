"""An empty project beside a web server on this machine, with short times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.fetch import _download
from tests.fetch.server import Server


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setattr(_download, "BACKOFF", 0.001)
    monkeypatch.setattr(_download, "CONNECT_TIMEOUT", 5.0)
    monkeypatch.setattr(_download, "READ_TIMEOUT", 5.0)
    return folder


@pytest.fixture
def web() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()

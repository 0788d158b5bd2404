"""An empty project beside a web server on this machine, with short times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from genept.downloads import retry as _retry
from genept.downloads import web as _web
from tests.downloads.server import Server


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setattr(_retry, "BACKOFF", 0.001)
    monkeypatch.setattr(_web, "CONNECT_TIMEOUT", 5.0)
    monkeypatch.setattr(_web, "READ_TIMEOUT", 5.0)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home beside the project."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def web() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()

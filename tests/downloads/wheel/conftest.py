"""A project whose only wheels are in a folder, or come from an index on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.downloads.wheel.index import Index, write_wheel


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a folder of wheels as pip's only source."""
    monkeypatch.chdir(tmp_path)
    for name in [
        name for name in os.environ if name.upper().startswith(("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"))
    ]:
        monkeypatch.delenv(name)
    settings = {"CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "0", "DEFAULT_TIMEOUT": "30"}
    for name, value in {**settings, "NO_INDEX": "1", "FIND_LINKS": str(tmp_path / "wheels")}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    (tmp_path / "wheels").mkdir()
    return tmp_path


@pytest.fixture
def serve(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    servers: list[Index] = []

    def start(mood: str) -> Index:
        index = Index(write_wheel(project / "wheels").read_bytes(), mood)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        servers.append(index)
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
        return index

    yield start
    for index in servers:
        index.go_on.set()
        index.shutdown()
        index.server_close()

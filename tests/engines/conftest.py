"""One thread of torch, an embeddings service, and an environment without anybody's keys and proxies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.downloads.loopback import serving
from tests.engines.encoder.service import Service


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Matrices this small gain nothing from threads, and lose much where other tests run beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project, where the cache of paid vectors will be; no settings of the API, and no table of tiktoken."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "TIKTOKEN_", "DATA_GYM_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "no-table"))


@pytest.fixture
def service(no_account: None) -> Iterator[Service]:
    service = Service()
    with serving(service.answer) as service.server:
        yield service
        service.gate.set()

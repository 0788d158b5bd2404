"""Functions and places to read pickles in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.pickles.reading import load


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that reads bytes as a pickle."""
    monkeypatch.chdir(tmp_path)
    return lambda content, **options: load(tmp_path / "x.pkl", content, **options)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pickles") / "x.pkl"

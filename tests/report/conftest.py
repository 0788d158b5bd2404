"""A run of two datasets and five models in the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report import made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made.write_project()
    monkeypatch.setattr("stages.report.draw", lambda *_: None)  # it takes most of the time; test_pictures.py draws
    return tmp_path

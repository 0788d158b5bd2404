"""Two projects to label: one small h5ad, and two samples with a table of labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import helpers
from tests.datasets.made import FOLDER, RAW, configure, make_cells, params_text, write_samples


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    Path("data/reference").mkdir()
    shutil.copy(helpers.HGNC, "data/reference/hgnc.tsv")
    Path("params.yaml").write_text(params_text())
    return tmp_path


@pytest.fixture
def project(empty: Path) -> Path:
    """A project with the smallest possible dataset's file: title, note, source and obs."""
    make_cells().write_h5ad(RAW)
    configure()
    return empty


@pytest.fixture
def samples(empty: Path) -> Path:
    write_samples()
    return empty

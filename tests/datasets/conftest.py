"""A project with one small dataset to label."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import helpers
from tests.datasets.made import RAW, make_cells, write_params


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("label") / "raw.h5ad"
    make_cells().write_h5ad(path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pristine: Path) -> Path:
    """A project with the smallest possible entry: title, note, source and obs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / RAW).parent.mkdir(parents=True)
    shutil.copy(pristine, RAW)
    Path("data/reference/hgnc").mkdir(parents=True)
    shutil.copy(helpers.HGNC, "data/reference/hgnc/hgnc.tsv")
    write_params()
    return tmp_path

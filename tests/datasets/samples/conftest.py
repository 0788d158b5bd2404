"""A project with two samples and a table of labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import helpers
from tests.datasets.samples.made import RAW, write_dense, write_labels, write_params, write_tenx


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_dense(RAW / "samples/Con4.txt.gz", 0)
    write_tenx(RAW / "samples/TAA1", 1)
    write_labels()
    Path("data/reference/hgnc").mkdir(parents=True)
    shutil.copy(helpers.HGNC, "data/reference/hgnc/hgnc.tsv")
    write_params()
    return tmp_path

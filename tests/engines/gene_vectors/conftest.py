"""A project with tables of genes, a small encoder, and the project once its texts are embedded."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.data import hgnc
from genept.engines.genept_w.vectors import texts
from tests import helpers
from tests.engines.genept_w.made import NCBI, ROWS, TITLES, run, write_params


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/reference/hgnc").mkdir(parents=True)
    lines = ["\t".join(TITLES), *(row.replace("|", "\t") for row in ROWS)]
    (tmp_path / hgnc.PATH).write_text("\n".join(lines) + "\n")
    (tmp_path / texts.NCBI).parent.mkdir()
    (tmp_path / texts.NCBI).write_text(NCBI)
    write_params("name")
    return tmp_path


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(folder, ROWS)
    return folder


@pytest.fixture
def embedded(project: Path, encoder_folder: Path) -> Path:
    """The project after `text`."""
    (project / "data/encoders").mkdir()
    (project / "data/encoders/words").symlink_to(encoder_folder)
    run("text", "words", ok=True)
    return project

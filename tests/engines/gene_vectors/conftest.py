"""A project with tables of genes, a small encoder, and the project once its texts are embedded."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.data import hgnc
from genept.engines.gene_vectors import texts
from tests import helpers
from tests.engines.gene_vectors.made import FOLDER, LOCUS_TYPES, NCBI, ROWS, TITLES, run


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(folder, ROWS)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_folder: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    hgnc.PATH.parent.mkdir(parents=True)
    lines = ["\t".join(TITLES), *(row.replace("|", "\t") for row in ROWS)]
    hgnc.PATH.write_text("\n".join(lines) + "\n")
    texts.NCBI.write_text(NCBI)
    FOLDER.mkdir(parents=True)
    for path in encoder_folder.iterdir():
        (FOLDER / path.name).symlink_to(path)
    return tmp_path


@pytest.fixture
def with_hgnc(project: Path) -> Path:
    """The project with a larger excerpt of HGNC's own table."""
    hgnc.PATH.write_bytes(helpers.HGNC.read_bytes())
    return project


@pytest.fixture
def embedded(project: Path) -> Path:
    """The project after the command."""
    run(ok=True, text="name", locus_types=LOCUS_TYPES)
    return project

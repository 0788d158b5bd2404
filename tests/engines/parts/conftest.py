"""A project whose cells are in four parts."""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import files
from genept.data import gene_vectors
from genept.engines import finished
from tests import helpers
from tests.engines.geneformer import made as geneformer
from tests.engines.parts.blood import BY_PARTS, ENTRIES, FOLDER, SCGPT, SYMBOLS, few_cells, make, write

CODE_SHA256 = functools.cache(files.code_sha256)  # which takes a second


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of every engine."""
    folder = tmp_path_factory.mktemp("models")
    vectors = np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32)
    genes = [gene_vectors.VectorGene(symbol, "", 1, False, symbol) for symbol in SYMBOLS[:50]]
    gene_vectors.write(folder / "words", vectors, genes, {})
    shutil.copytree(SCGPT, folder / "scgpt")
    geneformer.write_model(folder / "geneformer", geneformer.small(geneformer.V1, 55))
    helpers.write_encoder(folder / "sentences", ["A cell with genes ranked by expression: ", *SYMBOLS])
    (folder / "mine.py").write_text(BY_PARTS)
    shutil.copyfile(helpers.ROOT / "models/expression.py", folder / "expression.py")
    return folder


@pytest.fixture(scope="session")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a labelled dataset whose 40 cells are in four parts."""
    folder = tmp_path_factory.mktemp("cells")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        few_cells(patch)
        write(make())
    return folder / FOLDER


@pytest.fixture
def project(tmp_path: Path, models: Path, in_parts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose 40 cells are in four parts."""
    monkeypatch.chdir(tmp_path)
    few_cells(monkeypatch)
    monkeypatch.setattr(
        files,
        "code_sha256",
        lambda path: files.sha256(path) if path.is_relative_to(Path("models").absolute()) else CODE_SHA256(path),
    )
    shutil.copytree(models, "models")
    params = {"threads": 1, "device": "cpu", "seed": 0, "grid": {"models": {"genept_w": ["words"]}, "ensemble": []}}
    entries = {name: {"title": name, **entry} for name, entry in ENTRIES.items()}
    helpers.write_settings(Path(), params, {"blood": {"title": "Blood"}}, entries)
    shutil.copytree(in_parts, FOLDER)
    return tmp_path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that are computed, in turn."""
    names: list[str] = []
    write_part = finished.write_part

    def counted(path: Path, *rest: Any) -> None:
        names.append(path.name)
        write_part(path, *rest)

    monkeypatch.setattr(finished, "write_part", counted)
    return names

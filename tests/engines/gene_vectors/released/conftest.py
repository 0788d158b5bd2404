"""A project with an entry for a released file, which is not there yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.data import hgnc
from tests import helpers
from tests.engines.genept_w.released.pickled import FILE, PATH, write_params


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    hgnc.PATH.parent.mkdir(parents=True)
    hgnc.PATH.write_bytes(helpers.HGNC.read_bytes())
    PATH.parent.mkdir(parents=True)
    archived = {"name": "GenePT_emebdding_v2.zip", "member": FILE, "sha256": "0" * 64}
    source = {"kind": "zenodo", "record": 10833191, "files": {FILE: archived, "other": {"kind": "local", "path": "x"}}}
    write_params({"engine": "genept_w", "source": source, "vectors": {"released": FILE}})
    return tmp_path

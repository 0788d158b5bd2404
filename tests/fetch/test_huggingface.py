"""Files of the Hugging Face hub: huggingface_hub itself against a hub on this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests import helpers
from tests.fetch.loopback import Answer, Request, Server, invoke, ranged, refusal, serving, write_params

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"layers": 2}\n'
WEIGHTS = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILES = {"config.json": CONFIG, "nested/model.bin": WEIGHTS}


class Hub:
    """A hub with one repository; large files are on another host (another name of this machine), as on the real one."""

    def __init__(self) -> None:
        self.repository = "/acme/tiny"
        self.server: Server
        self.special: Callable[[Request], Answer | None] = lambda request: None

    def answer(self, request: Request) -> Answer:
        if special := self.special(request):
            return special
        if request.path.startswith("/cdn/"):
            return ranged(request, WEIGHTS, {"ETag": '"of the cdn"'})
        repository, _, rest = request.path.partition("/resolve/")
        revision, _, path = rest.partition("/")
        if repository != self.repository:
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        if revision != COMMIT:
            return Answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        if path not in FILES:
            return Answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"c0ffee"'}
        if path == "config.json":
            return ranged(request, CONFIG, headers)
        headers |= {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": str(len(WEIGHTS))}
        # The real hub names a Xet file, too; a client that followed that would find no such server here.
        headers |= {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": "/no/such/route"}
        return Answer(302, headers={**headers, "Location": f"http://localhost:{self.server.server_port}/cdn/{SHA256}"})

    def got(self, end: str) -> list[Request]:
        """Return the downloads of addresses that end with `end`."""
        return [request for request in self.server.requests if request.method == "GET" and request.path.endswith(end)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty home and project, in a process that is offline as every stage is."""
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    quick = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", quick)
    monkeypatch.setattr("huggingface_hub.file_download.time", quick)
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    hub = Hub()
    with serving(hub.answer) as hub.server:
        monkeypatch.setenv("HF_ENDPOINT", hub.server.address)
        yield hub


def source(**changes: Any) -> dict[str, Any]:
    files = {"config.json": {"path": "config.json"}, "model.bin": {"path": "nested/model.bin"}}
    return {"kind": "huggingface", "repo": "acme/tiny", "revision": COMMIT, "files": files, **changes}


def test_files_of_a_commit_come_small_and_large(hub: Hub) -> None:
    result = invoke(source())
    assert result.exit_code == 0, result.output
    assert Path("models/m/config.json").read_bytes() == CONFIG
    assert Path("models/m/model.bin").read_bytes() == WEIGHTS
    assert not Path("models/m/model.bin").is_symlink()
    assert not list(Path("data/.partial/huggingface").iterdir())
    assert huggingface_hub.constants.HF_HUB_OFFLINE is True


def test_the_command_reaches_the_hub_and_leaves_nothing_in_the_home(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, where the stage sets the offline variables before huggingface_hub reads them."""
    write_params(source())
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.fetch", "models", "m"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert Path("models/m/model.bin").read_bytes() == WEIGHTS
    assert not list((tmp_path / "home").rglob("*"))
    assert {request.headers["user-agent"].count("torch") for request in hub.server.requests} == {0}


def test_a_dataset_has_another_address(hub: Hub) -> None:
    hub.repository = "/datasets/acme/tiny"
    assert invoke(source(repo_type="dataset")).exit_code == 0
    assert "repo_type of acme/tiny is model or dataset, not 'space'" in refusal(invoke(source(repo_type="space")), 2)


def test_the_cache_of_the_user_is_used_if_it_is_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "mine"))
    assert invoke(source()).exit_code == 0
    assert not Path("data/.partial").exists()
    before = len(hub.server.requests)
    assert invoke(source()).exit_code == 0
    assert len(hub.server.requests) == before


def test_the_token_goes_to_the_hub_only_and_is_not_printed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    result = invoke(source())
    assert result.exit_code == 0
    assert "secret" not in result.output
    tokens = {request.path.split("/")[1]: request.headers.get("authorization") for request in hub.server.requests}
    assert tokens == {"acme": "Bearer hf_secret", "cdn": None}


def test_without_a_token_in_the_environment_none_is_sent(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("hf_secret")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert invoke(source()).exit_code == 0
    assert not any("authorization" in request.headers for request in hub.server.requests)


def test_a_connection_that_breaks_off_is_continued(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whole pieces, which are of 10 MB outside this test."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    cuts = iter([100_000, 150_000])

    def break_off(request: Request) -> Answer | None:
        if not request.path.startswith("/cdn/") or (cut := next(cuts, None)) is None:
            return None
        answer = ranged(request, WEIGHTS, {})
        answer.cut = cut
        return answer

    hub.special = break_off
    assert invoke(source()).exit_code == 0
    assert Path("models/m/model.bin").read_bytes() == WEIGHTS
    assert [request.headers.get("range") for request in hub.got(SHA256)] == [None, "bytes=100000-", "bytes=250000-"]
    assert hub.server.n_bytes == len(WEIGHTS) + len(CONFIG)


def test_a_file_that_is_whole_is_not_downloaded_again_after_a_failure(hub: Hub) -> None:
    hub.special = lambda request: Answer(403) if "model.bin" in request.path else None
    refusal(invoke(source()))
    assert not Path("models/m").exists()
    assert len(hub.got("config.json")) == 1
    hub.special = lambda request: None
    assert invoke(source()).exit_code == 0
    assert len(hub.got("config.json")) == 1


def test_a_file_with_another_hash_than_the_hub_says_is_not_kept(hub: Hub) -> None:
    damaged = bytes([1]) + WEIGHTS[1:]
    hub.special = lambda request: Answer(200, damaged) if request.path.startswith("/cdn/") else None
    assert "damaged on the way" in refusal(invoke(source()))
    hub.special = lambda request: None
    assert invoke(source()).exit_code == 0
    assert Path("models/m/model.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:39], COMMIT + "0", COMMIT.upper(), ""])
def test_a_revision_that_can_move_is_refused(hub: Hub, revision: str) -> None:
    line = refusal(invoke(source(revision=revision)), exit_code=2)
    assert "40 hexadecimal digits" in line or "needs revision" in line
    assert not hub.server.requests


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (401, "", "the hub refused (HTTP 401): no such repository, or one behind terms"),
        (401, "GatedRepo", "the hub refused (HTTP 401): the repository is behind terms"),
        (403, "GatedRepo", "set HF_TOKEN to it"),
        (403, "", "the hub refused (HTTP 403)"),
        (404, "RepoNotFound", "the hub has no such repository"),
        (404, "RevisionNotFound", "the repository has no such commit"),
        (404, "EntryNotFound", "that commit has no such file"),
        (429, "", "too many requests (HTTP 429)"),
        (500, "", "the hub answered with HTTP 500; run again later"),
    ],
)
def test_an_answer_that_is_an_error_is_one_line(hub: Hub, status: int, code: str, text: str) -> None:
    hub.special = lambda request: Answer(status, headers={"X-Error-Code": code} if code else {})
    line = refusal(invoke(source()))
    assert line.startswith("Error: config.json of acme/tiny at 01234567: ")
    assert text in line


def test_a_token_that_does_not_suffice_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.special = lambda request: Answer(403, headers={"X-Error-Code": "GatedRepo"})
    line = refusal(invoke(source()))
    assert "the account of the token in HF_TOKEN may not read it" in line
    assert "secret" not in line


def test_a_download_that_fails_after_the_hub_was_asked_is_one_line(hub: Hub) -> None:
    hub.special = lambda request: Answer(503) if request.path.startswith("/cdn/") else None
    assert "model.bin of acme/tiny at 01234567: the hub answered with HTTP 503" in refusal(invoke(source()))
    hub.special = lambda request: Answer(200, WEIGHTS, cut=0) if request.path.startswith("/cdn/") else None
    assert "no connection to the hub" in refusal(invoke(source()))
    hub.special = lambda request: Answer(200, WEIGHTS[:-1]) if request.path.startswith("/cdn/") else None
    assert "the download was cut short; run again" in refusal(invoke(source()))
    assert not list(Path("data").rglob("*.incomplete"))


def test_a_login_page_is_not_a_hub(hub: Hub) -> None:
    hub.special = lambda request: Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
    assert "is not a hub (a login page, a proxy?)" in refusal(invoke(source()))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://hub.invalid"])
def test_without_network_the_line_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert "no connection to the hub; check the network" in refusal(invoke(source()))


def test_a_name_that_no_repository_can_have_is_said(hub: Hub) -> None:
    assert "this cannot be the name of a repository" in refusal(invoke(source(repo="a/b/c")))


def test_a_full_disk_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "data/.partial/x")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "the disk is full" in refusal(invoke(source()))

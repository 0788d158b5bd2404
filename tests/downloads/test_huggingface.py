"""Files of the Hugging Face hub: huggingface_hub itself against a hub on this machine."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import huggingface_hub.constants
import pytest

from genept.downloads.hosts import huggingface
from tests import helpers
from tests.downloads.fetching import FOLDER, STORE, invoke, parts, refusal, sha256, write_demo
from tests.downloads.loopback import Answer, Request, Service, ranged, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"layers": 2}\n'
WEIGHTS = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
GIT_SHA1 = "70c7e957c13decd9e2629de84619bbbf2e3b9def"  # of `git hash-object` on CONFIG
FILES = {"config.json": CONFIG, "nested/model.bin": WEIGHTS}


class Hub(Service):
    """A hub with one repository; large files are on another host (another name of this machine), as on the real one."""

    repository = "/acme/tiny"

    def usual(self, request: Request) -> Answer:
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
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{GIT_SHA1}"'}
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
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty home and project, in a process that is offline as every stage is."""
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    quick = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", quick)
    hub = Hub()
    with serving(hub.answer) as hub.server:
        monkeypatch.setenv("HF_ENDPOINT", hub.server.address)
        yield hub


def source(**changes: Any) -> dict[str, Any]:
    files = {"config.json": {"path": "config.json"}, "model.bin": {"path": "nested/model.bin"}}
    return {"kind": "huggingface", "repo": "acme/tiny", "revision": COMMIT, "files": files, **changes}


def fetch(source: dict[str, Any]) -> click.testing.Result:
    write_demo(source)
    return invoke()


def test_files_of_a_commit_come_small_and_large(hub: Hub) -> None:
    result = fetch(source())
    assert result.exit_code == 0, result.output
    assert (FOLDER / "config.json").read_bytes() == CONFIG
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS
    assert not (FOLDER / "model.bin").is_symlink()
    assert not parts()
    assert huggingface_hub.constants.HF_HUB_OFFLINE is True


def test_the_command_reaches_the_hub_and_leaves_nothing_in_the_home(hub: Hub, home: Path) -> None:
    """In a process of its own, where the stage sets the offline variables before huggingface_hub reads them."""
    write_demo(source())
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.fetch", "dataset", "demo"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS
    assert not list(home.rglob("*"))
    assert {request.headers["user-agent"].count("torch") for request in hub.server.requests} == {0}


def test_a_dataset_has_another_address(hub: Hub) -> None:
    hub.repository = "/datasets/acme/tiny"
    assert fetch(source(repo_type="dataset")).exit_code == 0


def test_a_file_in_the_cache_that_the_user_names_is_taken_from_there(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "mine"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with huggingface.online():
        for path in FILES:
            where: dict[str, Any] = {"cache_dir": tmp_path / "mine" / "hub", "endpoint": hub.server.address}
            huggingface_hub.hf_hub_download("acme/tiny", path, revision=COMMIT, **where)
    before = len(hub.server.requests)
    known = source(
        files={name: {**item, "sha256": sha256(FILES[item["path"]])} for name, item in source()["files"].items()}
    )
    assert fetch(known).exit_code == 0
    assert len(hub.server.requests) == before
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS
    shutil.rmtree(STORE)
    (tmp_path / "mine/hub/models--acme--tiny/blobs" / SHA256).write_bytes(b"damaged")
    assert fetch(known).exit_code == 0
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS
    assert (len(hub.got("config.json")), len(hub.got(SHA256))) == (1, 2)


def test_the_token_goes_to_the_hub_only_and_is_not_printed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    result = fetch(source())
    assert result.exit_code == 0
    assert "secret" not in result.output
    tokens = {request.path.split("/")[1]: request.headers.get("authorization") for request in hub.server.requests}
    assert tokens == {"acme": "Bearer hf_secret", "cdn": None}


def test_without_a_token_in_the_environment_none_is_sent(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("hf_secret")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert fetch(source()).exit_code == 0
    assert not any("authorization" in request.headers for request in hub.server.requests)


def test_a_connection_that_breaks_off_is_continued(hub: Hub) -> None:
    cuts = iter([100_000, 150_000])

    def break_off(request: Request) -> Answer | None:
        if not request.path.startswith("/cdn/") or (cut := next(cuts, None)) is None:
            return None
        answer = ranged(request, WEIGHTS, {})
        answer.cut = cut
        return answer

    hub.special = break_off
    assert fetch(source()).exit_code == 0
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS
    assert [request.headers.get("range") for request in hub.got(SHA256)] == [None, "bytes=100000-", "bytes=250000-"]
    assert hub.server.n_bytes == len(WEIGHTS) + len(CONFIG)


def test_a_file_that_is_whole_is_not_downloaded_again_after_a_failure(hub: Hub) -> None:
    hub.special = lambda request: Answer(403) if request.path.startswith("/cdn/") else None
    refusal(fetch(source()))
    assert not Path("models/m").exists()
    assert len(hub.got("config.json")) == 1
    hub.special = lambda request: None
    assert fetch(source()).exit_code == 0
    assert len(hub.got("config.json")) == 1


def test_a_member_of_an_archive_comes_from_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = gzip.compress(b"inside")
    monkeypatch.setitem(FILES, "all.csv.gz", archive)
    headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(archive).hexdigest()}"'}
    hub.special = lambda request: Answer(200, archive, headers) if request.path.endswith(".gz") else None
    files = {"all.csv": {"path": "all.csv.gz", "member": "all.csv"}}
    assert fetch(source(files=files)).exit_code == 0
    assert (FOLDER / "all.csv").read_bytes() == b"inside"


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (401, "", "the hub refused (HTTP 401): the repository does not exist or is private"),
        (401, "GatedRepo", "the hub refused (HTTP 401): the repository is behind terms"),
        (403, "GatedRepo", "set HF_TOKEN to a token"),
        (403, "", "the hub refused (HTTP 403)"),
        (404, "RepoNotFound", "the hub has no such repository"),
        (404, "RevisionNotFound", "the repository has no such commit"),
        (404, "EntryNotFound", "that commit has no such file"),
        (429, "", "the hub answered with HTTP 429; run again later"),
        (500, "", "the hub answered with HTTP 500; run again later"),
    ],
)
def test_an_answer_that_is_an_error_is_one_line(hub: Hub, status: int, code: str, text: str) -> None:
    hub.special = lambda request: Answer(status, headers={"X-Error-Code": code} if code else {})
    line = refusal(fetch(source()))
    assert line.startswith("Error: config.json of acme/tiny at 01234567: ")
    assert text in line


def test_a_token_that_does_not_suffice_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.special = lambda request: Answer(403, headers={"X-Error-Code": "GatedRepo"})
    line = refusal(fetch(source()))
    assert "the account of the token in HF_TOKEN may not read it" in line
    assert "secret" not in line


def test_a_login_page_is_not_a_hub(hub: Hub) -> None:
    hub.special = lambda request: Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
    assert "what answered is no hub with this commit" in refusal(fetch(source()))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://hub.invalid"])
def test_without_network_the_line_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert "no connection to the hub; check the network" in refusal(fetch(source()))


def test_a_name_that_no_repository_can_have_is_said(hub: Hub) -> None:
    assert "this cannot be the name of a repository" in refusal(fetch(source(repo="a/b/c")))


def test_a_large_file_with_another_hash_than_the_hub_says_is_refused(hub: Hub) -> None:
    altered = bytes([1]) + WEIGHTS[1:]
    hub.special = lambda request: Answer(200, altered) if request.path.startswith("/cdn/") else None
    assert f"nested/model.bin: what came has sha256 {sha256(altered)}" in refusal(fetch(source()))
    hub.special = lambda request: None
    assert fetch(source()).exit_code == 0
    assert (FOLDER / "model.bin").read_bytes() == WEIGHTS


def test_what_is_not_there_leads_to_the_next_place_and_a_refusal_does_not(hub: Hub) -> None:
    place = {"repo": "acme/tiny", "revision": COMMIT, "path": "config.json"}
    first, *others = [
        {**place, **other} for other in ({"repo": "acme/other"}, {"revision": "1" * 40}, {"path": "b"}, {})
    ]
    places = {"kind": "huggingface", "files": {"a": {**first, "fallback": others}}}
    result = fetch(places)
    assert result.exit_code == 0, result.output
    assert [line.rpartition("): ")[2] for line in result.output.splitlines()[:3]] == [
        "the hub has no such repository",
        "the repository has no such commit",
        "that commit has no such file",
    ]
    hub.special = lambda request: Answer(401) if "other" in request.path else None
    places["files"]["b"] = {**first, "fallback": [place]}  # type: ignore[index]
    assert "the hub refused (HTTP 401)" in refusal(fetch(places))

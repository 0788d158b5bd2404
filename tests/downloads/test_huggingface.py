"""Files of the Hugging Face hub, against a hub on this machine."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.downloads.fetching import content, fetch, fetched, forget_files, refused, sha256
from tests.downloads.loopback import Answer, Request, Service, ranged, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG, WEIGHTS = b'{"layers": 2}\n', bytes(range(256)) * 2000
FILES = {"config.json": CONFIG, "nested/model.bin": WEIGHTS, "all.csv.gz": gzip.compress(b"inside")}
SOURCE: dict[str, Any] = {"repo": "acme/tiny", "revision": COMMIT}
BOTH = {"config.json": {"path": "config.json"}, "model.bin": {"path": "nested/model.bin"}}
EXPECTED = {"config.json": CONFIG, "model.bin": WEIGHTS}


class Hub(Service):
    """A hub with one repository; large files are on another host (another name of this machine), as on the real one."""

    repository = "/acme/tiny"

    def usual(self, request: Request) -> Answer:
        if request.path == "/cdn/model.bin":
            return ranged(request, WEIGHTS, {"ETag": '"of the cdn"'})
        path = request.path.removeprefix(f"{self.repository}/resolve/{COMMIT}/")
        if path not in FILES:
            return Answer(404)
        if path == "nested/model.bin":
            return Answer(302, headers={"Location": f"http://localhost:{self.server.server_port}/cdn/model.bin"})
        return ranged(request, FILES[path], {"ETag": '"git"'})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    hub = Hub()
    with serving(hub.answer) as hub.server:
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.server.address}/")
        yield hub


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_files_of_a_commit_come_small_and_large_and_members_of_archives(hub: Hub, repo_type: str) -> None:
    hub.repository = {"model": "/acme/tiny", "dataset": "/datasets/acme/tiny"}[repo_type]
    files = {**BOTH, "all.csv": {"path": "all.csv.gz", "member": "all.csv"}}
    fetched("huggingface", files, {**EXPECTED, "all.csv": b"inside"}, repo_type=repo_type, **SOURCE)


def test_a_file_in_the_cache_that_the_user_names_is_taken_from_there(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout of huggingface_hub: ``snapshots/<commit>/<path>`` links to ``blobs/<sha256>``."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "mine"))
    repository = tmp_path / "mine/hub/models--acme--tiny"
    blob, link = repository / "blobs" / sha256(WEIGHTS), repository / f"snapshots/{COMMIT}/nested/model.bin"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(WEIGHTS)
    link.symlink_to(blob)
    files = {"model.bin": BOTH["model.bin"]}
    fetched("huggingface", files, {"model.bin": WEIGHTS}, **SOURCE)
    assert not hub.server.requests
    forget_files()
    blob.write_bytes(b"damaged")
    fetched("huggingface", files, {"model.bin": WEIGHTS}, **SOURCE)
    assert len(hub.server.requests) == 2


def test_the_token_goes_to_the_hub_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    assert "secret" not in fetched("huggingface", BOTH, EXPECTED, **SOURCE)
    tokens = {request.path.split("/")[1]: request.headers.get("authorization") for request in hub.server.requests}
    assert tokens == {"acme": "Bearer hf_secret", "cdn": None}


@pytest.mark.parametrize(
    ("status", "token", "text"),
    [
        (401, "", "(Unauthorized): the repository does not exist, is private or is behind terms; check its name"),
        (403, "", "set HF_TOKEN to a token"),
        (403, "hf_secret", "the account of the token in HF_TOKEN may not read it"),
    ],
)
def test_an_answer_that_is_an_error_is_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, status: int, token: str, text: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.special = lambda request: Answer(status)
    line = refused("huggingface", BOTH, text, **SOURCE)
    assert line.startswith(f"{hub.server.address}/acme/tiny/resolve/{COMMIT}/config.json: it answered {status}")
    assert "secret" not in line


def test_what_is_not_there_leads_to_the_next_place_and_a_refusal_does_not(hub: Hub) -> None:
    files = {"a": {"path": "b", "fallback": [{"revision": "1" * 40, "path": "config.json"}, {"path": "config.json"}]}}
    fetch("huggingface", files, **SOURCE)
    assert content()["a"] == CONFIG
    shutil.rmtree("data")
    forget_files()
    hub.special = lambda request: Answer(401) if "/1" in request.path else None
    refused("huggingface", files, "it answered 401", **SOURCE)

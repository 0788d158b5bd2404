"""Files of figshare articles, against a server that answers as figshare does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.downloads.dataset import COUNTS, fetched, refused
from tests.downloads.hashes import md5, sha256
from tests.downloads.server import Server


def put_figshare(web: Server, monkeypatch: pytest.MonkeyPatch, path: str, content: dict[str, bytes]) -> None:
    """Imitate figshare's list of files; its files come by redirect to an address that is signed."""
    monkeypatch.setenv("FIGSHARE_URL", f"{web.url}/v2")
    files: list[dict[str, Any]] = [{"id": 1, "name": "elsewhere.csv", "is_link_only": True, "download_url": "x"}]
    for number, (name, value) in enumerate(content.items(), start=50):
        web.put(f"/v2/file/download/{number}", status=302, headers={"Location": f"/signed/{number}?X-Amz=secret"})
        web.put(f"/signed/{number}", value)
        url = web.put(f"/files/{number}", value)
        files.append(
            {"id": number, "name": name, "is_link_only": False, "download_url": url, "computed_md5": md5(value)}
        )
    web.put(f"/v2/{path}/files", json.dumps(files).encode())


@pytest.mark.parametrize(("version", "path"), [({}, "articles/12"), ({"version": 3}, "articles/12/versions/3")])
def test_figshare_gives_files_of_an_article(
    web: Server, monkeypatch: pytest.MonkeyPatch, version: dict[str, int], path: str
) -> None:
    put_figshare(web, monkeypatch, path, {"a.h5ad": COUNTS, "b.csv": b"b"})
    files = {"raw.h5ad": {"name": "a.h5ad", "sha256": sha256(COUNTS)}}
    fetched("figshare", files, {"raw.h5ad": COUNTS}, article=12, **version)
    assert web.asked[0][0].endswith("/files?page_size=1000")  # ten by default


def test_figshares_other_address_is_asked_when_the_first_does_not_help(
    web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_figshare(web, monkeypatch, "articles/12", {"a.h5ad": COUNTS})
    web.put("/v2/file/download/50", b"", status=202)
    fetched("figshare", {"a": {"name": "a.h5ad", "sha256": sha256(COUNTS)}}, {"a": COUNTS}, article=12)


def test_figshares_own_md5_is_checked_too(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_figshare(web, monkeypatch, "articles/12", {"a.h5ad": COUNTS})
    for path in ("/signed/50", "/files/50"):
        web.put(path, b"other")
    item = {"name": "a.h5ad", "sha256": sha256(b"other")}
    refused("figshare", {"a": item}, f"what came has md5 {md5(b'other')}", article=12)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("A.h5ad", "figshare article 12 has no file 'A.h5ad'; did you mean 'a.h5ad'?; it has a.h5ad"),
        ("elsewhere.csv", "has no file 'elsewhere.csv'"),  # a link is no file
    ],
)
def test_a_file_that_figshare_does_not_have_is_said(
    web: Server, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    put_figshare(web, monkeypatch, "articles/12", {"a.h5ad": COUNTS})
    refused("figshare", {"a": {"name": name, "sha256": "0" * 64}}, text, article=12)


@pytest.mark.parametrize("answer", [b'{"message": "no"}', b"[1]", b'[{"name": "a"}]', b"3"])
def test_what_figshare_might_answer_is_said(web: Server, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    put_figshare(web, monkeypatch, "articles/12", {})
    web.put("/v2/articles/12/files", answer)
    text = "figshare article 12: its list of files is not as expected"
    refused("figshare", {"a": {"name": "a", "sha256": "0" * 64}}, text, article=12)

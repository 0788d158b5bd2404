"""Files of Zenodo records, against a server that answers as Zenodo does."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.downloads.dataset import COUNTS, fetched, refused
from tests.downloads.hashes import md5, sha256
from tests.downloads.server import Server


def put_zenodo(web: Server, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], **md5s: str) -> None:
    """Imitate Zenodo's answer for record 7 (InvenioRDM's ``/api/records/<id>``, as far as it is used)."""
    monkeypatch.setenv("ZENODO_URL", web.url + "/")
    files = []
    for name, value in content.items():
        url = web.put(f"/api/records/7/files/{name}/content", value)
        digits = md5s.get(name.partition(".")[0], md5(value))
        files.append({"key": name, "size": len(value), "checksum": f"md5:{digits}", "links": {"self": url}})
    web.put("/api/records/7", json.dumps({"id": 7, "files": files}).encode())


def test_zenodo_gives_files_of_a_record(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zenodo(web, monkeypatch, {"a.pickle": COUNTS, "b.json": b"{}"})
    files = {"vectors.pickle": {"name": "a.pickle", "sha256": sha256(COUNTS)}}
    fetched("zenodo", files, {"vectors.pickle": COUNTS}, record=7)


def test_zenodo_gives_members_of_an_archive(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("folder/a.pickle", COUNTS)
    put_zenodo(web, monkeypatch, {"all.zip": stream.getvalue()})
    files = {"vectors.pickle": {"name": "all.zip", "member": "a.pickle", "sha256": sha256(COUNTS)}}
    fetched("zenodo", files, {"vectors.pickle": COUNTS}, record=7)


def test_zenodo_may_send_elsewhere_and_limit_the_requests(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zenodo(web, monkeypatch, {"a.pickle": COUNTS})
    limit = {
        "statuses": [429],
        "headers": {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "Retry-After": "0"},
    }
    web.put("/api/records/7", web.resources["/api/records/7"].content, **limit)
    place = {"Location": "/api/files/bucket/a.pickle"}
    web.put("/api/records/7/files/a.pickle/content", status=301, headers=place)
    web.put("/api/files/bucket/a.pickle", COUNTS, **limit)
    files = {"vectors.pickle": {"name": "a.pickle", "sha256": sha256(COUNTS)}}
    fetched("zenodo", files, {"vectors.pickle": COUNTS}, record=7)


def test_zenodos_own_md5_is_checked_too(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zenodo(web, monkeypatch, {"a.pickle": COUNTS}, a="0" * 32)
    item = {"name": "a.pickle", "sha256": sha256(COUNTS)}
    refused("zenodo", {"a": item}, f"what came has md5 {md5(COUNTS)}, but {'0' * 32} is expected", record=7)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b'{"files": []}', "Zenodo record 7 has no file 'a.pickle'; it lists no files; they may be restricted"),
        (b'{"files": [{"key": "b", "checksum": "", "links": {"self": ""}}]}', "no file 'a.pickle'; it has b"),
        (b'{"files": [{"name": "b"}]}', "Zenodo record 7: its list of files is not as expected"),
        (b'{"files": {"a": 1}}', "its list of files is not as expected"),
        (b'{"files": [{"key": "a.pickle", "checksum": null, "links": {"self": "x"}}]}', "not as expected"),
        (b"[]", "its list of files is not as expected"),
        (b"null", "its list of files is not as expected"),
        (b"<html>", "/api/records/7: the answer is not the JSON it should be"),
    ],
)
def test_what_zenodo_might_answer_is_said(
    web: Server, monkeypatch: pytest.MonkeyPatch, answer: bytes, text: str
) -> None:
    put_zenodo(web, monkeypatch, {})
    web.put("/api/records/7", answer)
    refused("zenodo", {"a": {"name": "a.pickle", "sha256": "0" * 64}}, text, record="7")


def test_a_record_that_is_not_there_is_said(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zenodo(web, monkeypatch, {})
    text = "/api/records/8: it answered 404 (Not Found); there is no such thing; correct its entry in params.yaml"
    refused("zenodo", {"a": {"name": "a", "sha256": "0" * 64}}, text, record=8)


def test_a_file_of_another_kind_than_the_sources_has_its_record_itself(
    web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_zenodo(web, monkeypatch, {"a.json": COUNTS})
    web.put("/b.csv", b"b")
    files: dict[str, dict[str, Any]] = {
        "b.csv": {"url": f"{web.url}/b.csv"},
        "a.json": {"kind": "zenodo", "record": 7, "name": "a.json", "sha256": sha256(COUNTS)},
    }
    without = {**files, "a.json": {key: value for key, value in files["a.json"].items() if key != "record"}}
    refused("http", without, "the source of kind 'zenodo' needs record", 2)
    fetched("http", files, {"a.json": COUNTS, "b.csv": b"b"})

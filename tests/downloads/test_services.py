"""Files of the web, Zenodo, figshare and GEO, against a server that answers as these do; and archives among them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from genept.downloads.hosts.geo import Geo
from genept.downloads.store import Store
from tests.downloads.fetching import COUNTS, fetched, forget_files, locked, md5, refused, sha256, tar, zipped
from tests.downloads.loopback import Web

SAMPLES = {f"GSM470493{number}_Con{number}.txt.gz": gzip.compress(bytes([number]) * 9000) for number in range(1, 4)}
RAW = "/geo/series/GSE155nnn/GSE155468/suppl"


def test_an_archive_with_another_hash_is_not_opened(web: Web) -> None:
    item = {"url": web.put("/all.tar", b"no archive"), "member": "x", "archive_sha256": "1" * 64}
    refused("http", {"x": item}, f"but {'1' * 64} is expected")


def test_of_a_bad_archive_nothing_is_recorded_and_it_comes_anew(web: Web) -> None:
    archive = tar({"a": COUNTS}, "w:gz")
    item = {"url": web.put("/a.tar.gz", archive[:20_000]), "member": "a"}
    refused("http", {"a": item}, "a.tar.gz: damaged (")
    web.put("/a.tar.gz", tar({"a": b"another", "b": b"b"}))
    two = {"b": {**item, "member": "b"}, "a": {**item, "sha256": sha256(COUNTS)}}
    refused("http", two, f"but the settings expect {sha256(COUNTS)}")
    assert locked() == {}
    web.put("/a.tar.gz", archive)
    fetched("http", {"a": item}, {"a": COUNTS})


def test_a_member_that_is_not_there_is_named_without_a_second_download(web: Web) -> None:
    archive = tar({"counts.txt": COUNTS})
    item = {"url": web.put("/all.tar", archive), "archive_sha256": sha256(archive)}
    line = refused("http", {"x": {**item, "member": "count.txt"}}, "all.tar: has no member 'count.txt'")
    assert "the nearest: 'counts.txt'" in line
    web.forget()
    fetched("http", {"x": {**item, "member": "counts.txt"}}, {"x": COUNTS})
    assert not web.server.requests


def test_geo_keeps_a_thousand_accessions_in_one_folder() -> None:
    for accession, folder in {
        "GSE1000": "series/GSE1nnn",
        "GSE62": "series/GSEnnn",
        "GSM4704931": "samples/GSM4704nnn",
    }.items():
        (url,) = Geo(kind="geo", accession=accession, name="a b.txt").remote(Store()).urls
        assert url == f"https://ftp.ncbi.nlm.nih.gov/geo/{folder}/{accession}/suppl/a%20b.txt"


def test_geo_gives_members_of_the_tar_and_files_beside_it(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_URL", web.url)
    archive, meta = tar(SAMPLES), gzip.compress(b"cell,type\n")
    web.put(f"{RAW}/GSE155468_RAW.tar", archive)
    web.put(f"{RAW}/GSE155468_meta.csv.gz", meta)
    files: dict[str, Any] = {f"raw/{name}": {"member": name} for name in SAMPLES}
    files["meta.csv"] = {"name": "GSE155468_meta.csv.gz", "member": "GSE155468_meta.csv"}
    expected = {**{f"raw/{name}": value for name, value in SAMPLES.items()}, "meta.csv": b"cell,type\n"}
    fetched("geo", files, expected, accession="GSE155468")
    assert web.server.n_bytes == len(archive) + len(meta)
    archives = {key: record["sha256"] for key, record in locked().items() if "archive of" in key}
    assert archives == {
        "data/demo/archive of geo GSE155468 GSE155468_RAW.tar": sha256(archive),
        "data/demo/archive of geo GSE155468 GSE155468_meta.csv.gz": sha256(meta),
    }


def put_zenodo(web: Web, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], digest: str = "") -> None:
    """Imitate Zenodo's answer for record 7 (InvenioRDM's ``/api/records/<id>``, as far as it is used)."""
    monkeypatch.setenv("ZENODO_URL", web.url + "/")
    listed = [
        {
            "key": name,
            "checksum": f"md5:{digest or md5(value)}",
            "links": {"self": web.put(f"/api/records/7/files/{name}/content", value)},
        }
        for name, value in files.items()
    ]
    web.put("/api/records/7", json.dumps({"id": 7, "files": listed}).encode())


def test_zenodo_gives_files_and_members_of_a_record(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    put_zenodo(web, monkeypatch, {"all.zip": zipped({"folder/a.pickle": COUNTS}), "b.json": b"{}"})
    files = {"vectors.pickle": {"name": "all.zip", "member": "a.pickle"}, "b": {"name": "b.json"}}
    fetched("zenodo", files, {"vectors.pickle": COUNTS, "b": b"{}"}, record=7)
    assert len(web.server.requests) == 3  # the record is asked for once
    text = "Zenodo record 7 has no file 'c.json'; did you mean 'b.json'?"
    refused("zenodo", {"a": {"name": "c.json"}}, text, record=7)
    refused("zenodo", {"a": {"name": "a"}}, "/api/records/8: it answered 404 (Not Found)", record=8)
    put_zenodo(web, monkeypatch, {"c": b"c"}, "0" * 32)  # its md5 is checked, too
    text = f"what came has md5 {md5(b'c')}, but {'0' * 32} is expected"
    refused("zenodo", {"c": {"name": "c", "sha256": sha256(b"c")}}, text, record=7)


def test_an_md5_of_the_settings_is_checked_beside_the_records(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped({"folder/a.pickle": COUNTS})
    put_zenodo(web, monkeypatch, {"all.zip": archive})
    item = {"name": "all.zip", "member": "a.pickle"}
    text = f"Zenodo record 7 states md5 {md5(archive)} for all.zip, but the settings expect {'1' * 32}; it is another"
    refused("zenodo", {"a": {**item, "md5": "1" * 32}}, text, record=7)
    fetched("zenodo", {"a": {**item, "md5": md5(archive)}}, {"a": COUNTS}, record=7)
    assert locked()["data/demo/archive of zenodo 7 all.zip"]["sha256"] == sha256(archive)
    put_zenodo(web, monkeypatch, {"all.zip": b"altered"}, digest=md5(archive))
    forget_files()
    text = f"what came has md5 {md5(b'altered')}, but {md5(archive)} is expected"
    refused("zenodo", {"a": {**item, "md5": md5(archive)}}, text, record=7)


def put_figshare(web: Web, monkeypatch: pytest.MonkeyPatch, path: str = "articles/12") -> None:
    """Imitate figshare's list of files; its files come by redirect to an address that is signed."""
    monkeypatch.setenv("FIGSHARE_URL", f"{web.url}/v2")
    link = {"id": 1, "name": "elsewhere.csv", "is_link_only": True, "download_url": "x"}
    file = {"id": 50, "name": "a.h5ad", "download_url": web.put("/files/50", COUNTS), "computed_md5": md5(COUNTS)}
    web.put("/v2/file/download/50", status=302, headers={"Location": "/signed/50?X-Amz=secret"})
    web.put("/signed/50", COUNTS)
    web.put(f"/v2/{path}/files", json.dumps([link, file]).encode())


@pytest.mark.parametrize(("version", "path"), [({}, "articles/12"), ({"version": 3}, "articles/12/versions/3")])
def test_figshare_gives_files_of_an_article(
    web: Web, monkeypatch: pytest.MonkeyPatch, version: dict[str, int], path: str
) -> None:
    put_figshare(web, monkeypatch, path)
    fetched("figshare", {"raw.h5ad": {"name": "a.h5ad"}}, {"raw.h5ad": COUNTS}, article=12, **version)
    assert web.server.requests[0].query == {"page_size": "1000"}  # ten by default
    text = "figshare article 12 has no file 'elsewhere.csv'; it has a.h5ad"  # a link is no file
    refused("figshare", {"a": {"name": "elsewhere.csv"}}, text, article=12, **version)
    forget_files()
    web.put("/v2/file/download/50", status=202)  # a test that only browsers pass: the other address is asked
    fetched("figshare", {"raw.h5ad": {"name": "a.h5ad"}}, {"raw.h5ad": COUNTS}, article=12, **version)


ODD = "its list of files is not as expected; use `kind: http`"


@pytest.mark.parametrize(
    ("kind", "answer", "text"),
    [
        ("zenodo", b'{"files": []}', "Zenodo record 7 has no file 'a'; it lists no files"),
        ("zenodo", b'{"files": [{"key": "a", "checksum": null, "links": {"self": "x"}}]}', ODD),
        ("zenodo", b'{"files": [{"key": "a", "checksum": "", "links": {"self": "http://[/a"}}]}', ODD),
        ("zenodo", b'{"files": [{"key": "a", "checksum": "", "links": {"self": "http://\\ud800/"}}]}', ODD),
        ("zenodo", b"[]", ODD),
        ("zenodo", b"<html>", "/api/records/7: the answer is not the JSON it should be"),
        ("figshare", b'{"message": "no"}', ODD),
        ("figshare", b'[{"name": "a"}]', ODD),
        ("figshare", b'[{"name": "a", "id": 1, "download_url": "http://[/"}]', ODD),
    ],
)
def test_what_a_service_might_answer_is_said(
    web: Web, monkeypatch: pytest.MonkeyPatch, kind: str, answer: bytes, text: str
) -> None:
    put_zenodo(web, monkeypatch, {})
    put_figshare(web, monkeypatch)
    source, path = {
        "zenodo": ({"record": 7}, "/api/records/7"),
        "figshare": ({"article": 12}, "/v2/articles/12/files"),
    }[kind]
    web.put(path, answer)
    refused(kind, {"a": {"name": "a"}}, text, **source)

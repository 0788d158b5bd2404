"""The kinds of sources, from params.yaml to files that are checked, against services imitated on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import click.testing
import pytest
import yaml

from stages.fetch import _partial, _retry
from stages.fetch.__main__ import main
from stages.fetch.geo import address
from tests.fetch.server import Server

COUNTS = os.urandom(50_000)
SAMPLES = {f"GSM470493{number}_Con{number}.txt.gz": gzip.compress(bytes([number]) * 9000) for number in range(1, 4)}
FOLDER = Path("data/demo/raw")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def fetch(kind: str, files: dict[str, Any], **source: Any) -> click.testing.Result:
    entry = {"source": {"kind": kind, **source, "files": files}}
    Path("params.yaml").write_text(yaml.safe_dump({"threads": 1, "datasets": {"demo": entry}}))
    return click.testing.CliRunner().invoke(main, ["datasets", "demo"], catch_exceptions=False)


def fetched(kind: str, files: dict[str, Any], expected: dict[str, bytes], **source: Any) -> None:
    result = fetch(kind, files, **source)
    assert result.exit_code == 0, result.output
    found = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert found == expected
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def refused(kind: str, files: dict[str, Any], text: str, exit_code: int = 1, **source: Any) -> None:
    """Assert one clear line and that no file of the dataset is there."""
    result = fetch(kind, files, **source)
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    assert text in result.output
    assert not FOLDER.exists()
    assert not list(Path().rglob(".writing-*"))


def tar(content: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, value in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(value)
            archive.addfile(info, io.BytesIO(value))
    return stream.getvalue()


def put_zenodo(web: Server, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], **md5s: str) -> None:
    """Imitate Zenodo's answer for record 7 (InvenioRDM's ``/api/records/<id>``, as far as it is used)."""
    monkeypatch.setenv("ZENODO_URL", web.url + "/")
    files = []
    for name, value in content.items():
        url = web.put(f"/api/records/7/files/{name}/content", value)
        digits = md5s.get(name.partition(".")[0], md5(value))
        files.append({"key": name, "size": len(value), "checksum": f"md5:{digits}", "links": {"self": url}})
    web.put("/api/records/7", json.dumps({"id": 7, "files": files}).encode())


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


def test_http_gets_files_from_addresses_and_mirrors(web: Server) -> None:
    files = {
        "raw.h5ad": {"url": web.put("/a/raw.h5ad", COUNTS), "sha256": sha256(COUNTS)},
        "obs.csv": {
            "url": web.put("/gone.csv", status=404),
            "mirrors": [web.put("/obs.csv", b"cell,type\n")],
            "sha256": sha256(b"cell,type\n"),
        },
    }
    fetched("http", files, {"raw.h5ad": COUNTS, "obs.csv": b"cell,type\n"})


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip", "gz"])
def test_http_takes_members_out_of_archives(web: Server, form: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("raw.h5ad", COUNTS)
    content = {
        "tar": tar({"raw.h5ad": COUNTS}),
        "tar.gz": tar({"raw.h5ad": COUNTS}, "w:gz"),
        "zip": stream.getvalue(),
        "gz": gzip.compress(COUNTS),
    }[form]
    url = web.put(f"/raw.h5ad.{form}", content)
    item = {"url": url, "member": "raw.h5ad", "sha256": sha256(COUNTS), "archive_sha256": sha256(content)}
    fetched("http", {"raw.h5ad": item}, {"raw.h5ad": COUNTS})


def test_an_archive_comes_once_for_all_its_members_and_itself(web: Server) -> None:
    content = tar(SAMPLES)
    url = web.put("/all.tar", content)
    files = {f"raw/{name}": {"url": url, "member": name, "sha256": sha256(value)} for name, value in SAMPLES.items()}
    whole = {name: {"url": url, "sha256": sha256(content)} for name in ("all.tar", "copy.tar")}
    expected = {f"raw/{name}": value for name, value in SAMPLES.items()}
    fetched("http", {**files, **whole}, {**expected, "all.tar": content, "copy.tar": content})
    assert web.served == len(content)


def test_an_archive_with_another_hash_is_not_opened(web: Server) -> None:
    url = web.put("/all.tar", tar(SAMPLES))
    item = {"url": url, "member": "x", "sha256": "0" * 64, "archive_sha256": "1" * 64}
    refused("http", {"x": item}, f"but {'1' * 64} is expected")


def test_a_member_that_is_not_there_is_named_without_a_second_download(web: Server) -> None:
    content = SAMPLES["GSM4704931_Con1.txt.gz"]
    url = web.put("/all.tar", tar({"GSM4704931_Con1.txt.gz": content}))
    item = {"url": url, "member": "GSM4704931_Con7.txt.gz", "sha256": sha256(content)}
    refused(
        "http", {"x": item}, "all.tar: has no member 'GSM4704931_Con7.txt.gz'; the nearest: 'GSM4704931_Con1.txt.gz'"
    )
    served = web.served
    fetched("http", {"x": {**item, "member": "GSM4704931_Con1.txt.gz"}}, {"x": content})
    assert web.served == served + 1


def test_a_damaged_archive_comes_anew_in_the_next_run(web: Server) -> None:
    content = tar({"a": COUNTS}, "w:gz")
    item = {"url": web.put("/a.tar.gz", content[:20_000]), "member": "a", "sha256": sha256(COUNTS)}
    refused("http", {"a": item}, "a.tar.gz: damaged (")
    web.put("/a.tar.gz", content)
    fetched("http", {"a": item}, {"a": COUNTS})


@pytest.mark.parametrize("name", ["a", "../../a", "/tmp/a"])
def test_a_malicious_archive_is_refused_and_a_good_one_then_taken(web: Server, name: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    item = {"url": web.put("/a.tar", stream.getvalue()), "member": name, "sha256": sha256(COUNTS)}
    refused("http", {"a": item}, f"a.tar: its member {name!r} is a link, a folder or a device, not a file")
    web.put("/a.tar", tar({name: COUNTS}), etag='"second"')
    fetched("http", {"a": item}, {"a": COUNTS})


def test_a_file_that_came_stays_while_another_fails(web: Server) -> None:
    good = {"url": web.put("/a", COUNTS), "sha256": sha256(COUNTS)}
    bad = {"url": web.put("/b", b"b", status=503), "sha256": sha256(b"b")}
    refused("http", {"a": good, "b": bad}, "/b: it answered 503 (Service Unavailable)")
    web.put("/b", b"b")
    web.served = 0
    fetched("http", {"a": good, "b": bad}, {"a": COUNTS, "b": b"b"})
    assert web.served == 1


def test_earlier_files_stay_as_they_were(web: Server) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "a").write_bytes(b"an earlier good copy")
    result = fetch("http", {"a": {"url": web.put("/a", COUNTS), "sha256": "0" * 64}})
    assert result.exit_code == 1
    assert (FOLDER / "a").read_bytes() == b"an earlier good copy"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({}, "a of the source of kind 'http' needs url"),
        ({"url": "ftp://a.invalid/a"}, "'ftp://a.invalid/a' is no http or https address"),
        ({"url": "https://a.invalid/a", "mirrors": "https://b.invalid/a"}, "the mirrors of a must be a list"),
        ({"url": "https://a.invalid/a", "mirrors": ["b"]}, "'b' is no http or https address"),
    ],
)
def test_http_says_what_is_wrong_in_params(item: dict[str, Any], text: str) -> None:
    refused("http", {"a": {**item, "sha256": "0" * 64}}, text, exit_code=2)


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


@pytest.mark.parametrize(
    ("accession", "folder"),
    [
        ("GSE155468", "series/GSE155nnn/GSE155468"),
        ("GSE1000", "series/GSE1nnn/GSE1000"),
        ("GSE62", "series/GSEnnn/GSE62"),
        ("GSM4704931", "samples/GSM4704nnn/GSM4704931"),
    ],
)
def test_geo_keeps_a_thousand_accessions_in_one_folder(accession: str, folder: str) -> None:
    assert address(accession, "a b.txt") == f"https://ftp.ncbi.nlm.nih.gov/geo/{folder}/suppl/a%20b.txt"


def test_geo_gives_members_of_the_tar_and_files_beside_it(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_URL", web.url)
    beside = "/geo/series/GSE155nnn/GSE155468/suppl"
    content, meta = tar(SAMPLES), gzip.compress(b"cell,type\n")
    web.put(f"{beside}/GSE155468_RAW.tar", content)
    web.put(f"{beside}/GSE155468_meta.csv.gz", meta)
    files = {f"raw/{name}": {"member": name, "sha256": sha256(value)} for name, value in SAMPLES.items()}
    files["meta.csv.gz"] = {"name": "GSE155468_meta.csv.gz", "sha256": sha256(meta)}
    name = "GSE155468_meta.csv"
    files["meta.csv"] = {"name": f"{name}.gz", "member": name, "sha256": sha256(b"cell,type\n")}
    expected = {f"raw/{name}": value for name, value in SAMPLES.items()}
    expected |= {"meta.csv.gz": meta, "meta.csv": b"cell,type\n"}
    fetched("geo", files, expected, accession="GSE155468")
    assert web.served == len(content) + len(meta)


def test_geo_is_gone_on_with_by_the_date_of_a_file(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server gives no ETag."""
    monkeypatch.setenv("GEO_URL", web.url)
    date = "Sat, 01 Aug 2026 10:00:00 GMT"
    path = "/geo/series/GSE155nnn/GSE155468/suppl/counts.txt.gz"
    web.put(path, COUNTS, etag=None, modified=date, reset_after=[20_000])
    with monkeypatch.context() as once:
        once.setattr(_retry, "ATTEMPTS", 1)
        refused("geo", {"counts": {"name": "counts.txt.gz"}}, "the connection broke off", accession="GSE155468")
    fetched("geo", {"counts": {"name": "counts.txt.gz"}}, {"counts": COUNTS}, accession="GSE155468")
    assert [headers.get("If-Range") for _, headers in web.asked] == [None, date]
    assert web.served == len(COUNTS)


@pytest.mark.parametrize(
    ("accession", "item", "text"),
    [
        ("GSE155468", {}, "a of the source of kind 'geo' needs name or member"),
        ("GPL570", {"member": "a"}, "'GPL570' is no accession of a GEO series or sample, such as GSE155468"),
        ("gse1", {"member": "a"}, "'gse1' is no accession"),
        ("GSE1/../..", {"member": "a"}, "is no accession"),
    ],
)
def test_geo_says_what_is_wrong_in_params(accession: str, item: dict[str, Any], text: str) -> None:
    refused("geo", {"a": {**item, "sha256": "0" * 64}}, text, exit_code=2, accession=accession)

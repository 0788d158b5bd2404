"""Files by address, whole or out of archives, from params.yaml to files that are checked."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import Any

import pytest

from tests.downloads.archives import tar
from tests.downloads.dataset import COUNTS, FOLDER, SAMPLES, fetch, fetched, refused
from tests.downloads.hashes import sha256
from tests.downloads.server import Server


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

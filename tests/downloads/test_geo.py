"""Supplementary files of GEO, against a server with GEO's folders."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from genept.downloads import retry as _retry
from genept.downloads.hosts.geo import address
from tests.downloads.archives import tar
from tests.downloads.dataset import COUNTS, SAMPLES, fetched, refused
from tests.downloads.hashes import sha256
from tests.downloads.server import Server


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

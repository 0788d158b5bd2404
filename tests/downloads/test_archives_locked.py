"""Archives are hashed before they are opened, and must be those that came first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.core import files
from genept.downloads import lock as _lock
from genept.downloads import partial as _partial
from genept.downloads import retry as _retry
from tests.downloads.archives import tar
from tests.downloads.dataset import SAMPLES
from tests.downloads.hashes import sha256
from tests.downloads.loopback import invoke, refusal
from tests.downloads.server import Server

CONTENT = tar(SAMPLES)
REPACKED = tar(dict(reversed(SAMPLES.items())))  # the same members
RAW = "/geo/series/GSE7nnn/GSE7123/suppl/GSE7123_RAW.tar"
KEY = "models.m/archive of geo GSE7123"


@pytest.fixture
def geo(web: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("GEO_URL", web.url)
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    web.put(RAW, CONTENT)
    return web


def source(**item: Any) -> dict[str, Any]:
    return {"kind": "geo", "accession": "GSE7123", "files": {name: {"member": name, **item} for name in SAMPLES}}


def locked() -> dict[str, Any]:
    return dict(yaml.safe_load(_lock.PATH.read_text(encoding="utf-8")))


def came() -> dict[str, bytes]:
    return {name: Path("models/m", name).read_bytes() for name in SAMPLES}


def test_the_first_archive_is_recorded_beside_its_members_and_hashed_once(
    geo: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    sha256_of = files.sha256

    def counted(path: Path) -> str:
        hashed.append(path.stat().st_size)
        return sha256_of(path)

    monkeypatch.setattr(files, "sha256", counted)
    result = invoke(source())
    assert result.exit_code == 0, result.output
    assert hashed.count(len(CONTENT)) == 1
    assert set(locked()) == {KEY, *(f"models.m/{name}" for name in SAMPLES)}
    assert {key: locked()[KEY][key] for key in ("sha256", "size")} == {"sha256": sha256(CONTENT), "size": len(CONTENT)}
    assert KEY in result.output.splitlines()[0]
    before = _lock.PATH.read_bytes()
    result = invoke(source())
    assert result.exit_code == 0 and "First download" not in result.output
    assert _lock.PATH.read_bytes() == before


@pytest.mark.parametrize("other", [REPACKED, b"no archive"], ids=["the same members", "what cannot be opened"])
def test_another_archive_later_is_refused_before_it_is_opened(geo: Server, other: bytes) -> None:
    assert invoke(source()).exit_code == 0
    geo.put(RAW, other, etag='"second"')
    line = refusal(invoke(source()))
    assert f"{KEY} is not the file that came first, on " in line
    assert f"sha256 was {sha256(CONTENT)} ({len(CONTENT):,} bytes), is {sha256(other)} ({len(other):,} bytes)" in line
    assert f"nothing was kept. If its source changed and you trust the new file, delete the lines of {KEY} in" in line
    assert came() == SAMPLES
    geo.put(RAW, CONTENT, etag='"second"')  # it was altered on the way only: nothing of it must be left
    geo.served = 0
    assert invoke(source()).exit_code == 0
    assert geo.served == len(CONTENT)


def test_an_archive_that_was_repacked_is_taken_when_its_lines_are_deleted(geo: Server) -> None:
    assert invoke(source()).exit_code == 0
    geo.put(RAW, REPACKED, etag='"second"')
    refusal(invoke(source()))
    rest = {key: record for key, record in locked().items() if key != KEY}
    _lock.PATH.write_text(yaml.safe_dump(rest))
    assert invoke(source()).exit_code == 0
    assert locked()[KEY]["sha256"] == sha256(REPACKED)
    assert {key: record for key, record in locked().items() if key != KEY} == rest


def test_a_lock_without_archives_is_read_and_gets_them(geo: Server) -> None:
    assert invoke(source()).exit_code == 0
    earlier = {key: {**record, "date": "2023-04-05"} for key, record in locked().items() if key != KEY}
    _lock.PATH.write_text(yaml.safe_dump(earlier))
    result = invoke(source())
    assert f"First download of {KEY}: sha256 recorded" in result.output
    assert locked() == {**earlier, KEY: locked()[KEY]}


def test_a_hash_of_the_archive_in_params_goes_before_the_lock(geo: Server) -> None:
    assert invoke(source(archive_sha256=sha256(CONTENT))).exit_code == 0
    assert set(locked()) == {f"models.m/{name}" for name in SAMPLES}


def test_an_archive_is_recorded_even_if_params_has_the_hashes_of_its_members(geo: Server) -> None:
    (name, content), *_ = SAMPLES.items()
    one = {**source(), "files": {name: {"member": name, "sha256": sha256(content)}}}
    assert invoke(one).exit_code == 0
    assert set(locked()) == {KEY}
    geo.put(RAW, REPACKED, etag='"second"')
    assert KEY in refusal(invoke(one))


def test_of_an_archive_that_could_not_be_unpacked_nothing_is_recorded(geo: Server) -> None:
    geo.put(RAW, CONTENT[:700])
    assert "damaged (" in refusal(invoke(source()))
    assert not _lock.PATH.exists()
    geo.put(RAW, CONTENT, etag='"second"')
    assert invoke(source()).exit_code == 0
    assert locked()[KEY]["sha256"] == sha256(CONTENT)


def test_an_archive_is_recorded_by_the_run_that_gets_the_rest_of_the_entry(geo: Server) -> None:
    entry = source()
    entry["files"]["labels.csv"] = {"kind": "http", "url": geo.put("/labels.csv", status=503)}
    refusal(invoke(entry))
    assert not _lock.PATH.exists()
    geo.put("/labels.csv", b"cell,type\n")
    geo.served = 0
    assert invoke(entry).exit_code == 0
    assert geo.served == len(b"cell,type\n")
    assert locked()[KEY]["sha256"] == sha256(CONTENT)
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def test_archives_of_one_name_are_told_apart(geo: Server) -> None:
    """They are called by all that the entry says of them: two archives here, and a candidate of another kind."""
    first, second = geo.put("/1/all.tar", tar({"a": b"1"})), geo.put("/2/all.tar", tar({"b": b"2"}))
    places = [{"kind": "http", "url": second, "member": "none"}, {"kind": "http", "url": first, "member": "a"}]
    two = {"kind": "http", "files": {"a": {"candidates": places}, "b": {"url": second, "member": "b"}}}
    assert invoke(two).exit_code == 0
    assert {key: record["sha256"] for key, record in locked().items() if "archive" in key} == {
        f"models.m/archive of http {first}": sha256(tar({"a": b"1"})),
        f"models.m/archive of http {second}": sha256(tar({"b": b"2"})),
    }
    geo.put("/1/all.tar", tar({"a": b"1", "c": b"3"}), etag='"second"')
    result = invoke(two)
    assert result.exit_code == 1
    assert f"Error: models.m/archive of http {first} is not the file that came first" in result.output


def test_so_is_the_archive_of_an_entry_that_takes_anothers_place(geo: Server) -> None:
    gone = geo.put("/own.csv", status=404)
    entry = {"kind": "http", "files": {"own.csv": {"url": gone}}, "otherwise": {"source": source()}}
    assert invoke(entry).exit_code == 0
    assert locked()["models.m.source.otherwise/archive of geo GSE7123"]["sha256"] == sha256(CONTENT)
    geo.put(RAW, REPACKED, etag='"second"')
    result = invoke(entry)
    assert result.exit_code == 1
    assert "Error: models.m.source.otherwise/archive of geo GSE7123 is not the file that came first" in result.output

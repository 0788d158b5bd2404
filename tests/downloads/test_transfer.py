"""Half a download: it is gone on with, by whoever comes next, and never taken for a whole one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from genept.downloads import transfer
from genept.downloads import web as _web
from tests import helpers
from tests.downloads.downloading import FILE, FOLDER, OTHER, fetched, interrupt, refused
from tests.downloads.fetching import sha256
from tests.downloads.loopback import Resource, Web

DATE, LATER = "Sat, 01 Aug 2026 10:00:00 GMT", "Sun, 02 Aug 2026 10:00:00 GMT"


@pytest.mark.parametrize("validators", [{}, {"etag": None, "modified": DATE}, {"etag": 'W/"weak"', "modified": DATE}])
def test_a_broken_connection_goes_on_where_it_stopped(web: Web, validators: dict[str, Any]) -> None:
    fetched(web.put("/file.bin", FILE, cuts=[100_000, 50_000], **validators))
    assert web.server.n_bytes == len(FILE)
    assert web.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert web.server.requests[1].headers["if-range"] == (validators.get("modified") or '"first"')


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_next_run_goes_on_where_the_last_one_stopped(web: Web, framing: str) -> None:
    url = web.put("/file.bin", FILE, framing=framing)
    interrupt(web, "/file.bin", 200_000)
    fetched(url)
    assert web.ranges == ["bytes=200000-"]


def test_a_process_killed_midway_loses_nothing(web: Web) -> None:
    go_on = threading.Event()
    url = web.put("/file.bin", FILE, cuts=[200_000], hold=go_on)
    code = f"from tests.downloads.downloading import get; get({url!r})"
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    while sum(path.stat().st_size for path in FOLDER.glob("?" * 32)) < 200_000:
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    go_on.set()
    web.resources["/file.bin"].hold = None
    web.forget()
    fetched(url)
    assert web.ranges == ["bytes=200000-"]


def test_a_server_that_ignores_ranges_is_asked_for_all_again_but_not_for_ever(web: Web) -> None:
    fetched(web.put("/file.bin", FILE, ranges=False, cuts=[100_000]))
    assert web.server.n_bytes == 100_000 + len(FILE)
    fetched(web.put("/file.bin", FILE, cuts=[30_000] * 9))  # more often than `ATTEMPTS`: each one brings something
    web.forget()
    refused(web.put("/file.bin", FILE, ranges=False, cuts=[100_000] * 50), text="the connection broke off; run again")
    assert len(web.server.requests) == _web.ATTEMPTS


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "content"),
    [
        ({}, {"etag": '"second"'}, OTHER),
        ({"etag": None, "modified": DATE}, {"etag": None, "modified": LATER}, OTHER),
        ({"etag": None}, {"etag": None}, OTHER),
        ({}, {}, OTHER[:-1]),
        ({}, {}, OTHER[:5000]),
    ],
    ids=["etag", "date", "no validator", "shorter", "short"],
)
def test_a_file_that_changes_meanwhile_is_not_joined_with_its_part(
    web: Web, if_range: bool, old: dict[str, Any], new: dict[str, Any], content: bytes
) -> None:
    changed = Resource(content, if_range=if_range, **new)
    fetched(web.put("/file.bin", FILE, cuts=[100_000], then=changed, **old), expected=content)


def test_without_validators_the_hash_finds_joined_files_and_all_comes_anew(web: Web) -> None:
    url = web.put("/file.bin", OTHER, etag=None, cuts=[100_000], then=Resource(FILE, etag=None))
    fetched(url, digest=sha256(FILE))
    assert web.ranges == [None, "bytes=100000-", None]


@pytest.mark.parametrize("notes", ["", "{}", "[]", '{"etag": 1'])
def test_torn_notes_start_the_download_again(web: Web, notes: str) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000)
    (path,) = FOLDER.glob("*.json")
    path.write_text(notes)
    fetched(url)
    assert web.server.n_bytes == len(FILE)


def test_of_several_addresses_the_first_that_gives_the_file_is_used(web: Web) -> None:
    gone, down, good = web.put("/gone", status=404), web.put("/down", status=403), web.put("/good", FILE)
    fetched(gone, down, good)
    line = refused(gone, down, text=f"{web.url}/down: it answered 403")
    assert f"(before it, {web.url}/gone: it answered 404 (Not Found))" in line


def test_a_disk_that_will_be_full_is_announced_before_the_download(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    line = refused(web.put("/file.bin", FILE * 10), text="the disk is full at partial (3 MB more are needed)")
    assert "free some space and run again" in line


def test_a_file_without_an_end_does_not_fill_the_disk(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=400_000))
    refused(web.put("/file.bin", FILE, framing="chunked"), text="it did not end after 0.2 MB and does not say how long")
    assert not list(FOLDER.glob("?" * 32))

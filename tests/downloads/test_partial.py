"""Half a download: it is gone on with, by whoever comes next, and never taken for a whole one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest

from genept.downloads import partial as _partial
from genept.downloads import retry as _retry
from genept.downloads import web as _web
from genept.downloads.download import downloaded
from tests import helpers
from tests.downloads.downloading import DATE, FILE, LATER, OTHER, SHA256, TARGET, fetched, interrupt, refused, to_file
from tests.downloads.server import Resource, Server


def test_a_file_comes(web: Server) -> None:
    fetched(web.put("/file.bin", FILE))
    assert web.served == len(FILE)


def test_a_file_comes_in_chunks_without_a_length(web: Server) -> None:
    fetched(web.put("/file.bin", FILE, framing="chunked"))


def test_a_slow_file_comes(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out is for silence, not for the whole: this takes longer than it."""
    monkeypatch.setattr(_web, "READ_TIMEOUT", 0.3)
    fetched(web.put("/file.bin", FILE, pause=0.03))


@pytest.mark.parametrize("validators", [{}, {"etag": None, "modified": DATE}, {"etag": 'W/"weak"', "modified": DATE}])
def test_a_broken_connection_goes_on_where_it_stopped(web: Server, validators: dict[str, Any]) -> None:
    fetched(web.put("/file.bin", FILE, reset_after=[100_000, 50_000], **validators))
    assert web.served == len(FILE)
    assert [headers.get("Range") for _, headers in web.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert web.asked[1][1]["If-Range"] == (validators.get("modified") or '"first"')


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_next_run_goes_on_where_the_last_one_stopped(
    web: Server, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/file.bin", FILE, framing=framing)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    fetched(url)
    assert web.asked[0][1]["Range"] == "bytes=200000-"


def test_a_process_killed_midway_loses_nothing(web: Server) -> None:
    url = web.put("/file.bin", FILE, stall_after=200_000)
    code = (
        f"import pathlib; from tests.downloads.downloading import to_file; to_file([{url!r}], pathlib.Path('{TARGET}'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    assert web.stalling.wait(30)
    n_bytes = 0
    while n_bytes < 150_000:
        assert process.poll() is None
        with contextlib.suppress(FileNotFoundError):  # a temporary file that is renamed meanwhile
            n_bytes = sum(path.stat().st_size for path in _partial.STORE.iterdir() if not path.suffix)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not TARGET.exists()
    web.resources["/file.bin"].stall_after = None
    web.served = 0
    fetched(url)
    assert web.served <= 150_000


def test_ctrl_c_loses_nothing(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE, reset_after=[100_000])
    with mock.patch.object(_retry, "time") as time, pytest.raises(KeyboardInterrupt):
        time.sleep.side_effect = KeyboardInterrupt
        to_file([url], TARGET)
    fetched(url)
    assert web.served == len(FILE)


def test_a_server_that_ignores_ranges_is_asked_for_all_again(web: Server) -> None:
    fetched(web.put("/file.bin", FILE, ranges=False, reset_after=[100_000]))
    assert web.served == 100_000 + len(FILE)


def test_one_that_breaks_off_at_the_same_byte_each_time_is_given_up(web: Server) -> None:
    url = web.put("/file.bin", FILE, ranges=False, reset_after=[100_000] * 50)
    refused(url, "the connection broke off; run again: it goes on where it stopped")
    assert len(web.asked) == _retry.ATTEMPTS


def test_progress_is_no_failure(web: Server) -> None:
    """A long file over a bad line may break off more often than `ATTEMPTS`, if each attempt brings something."""
    fetched(web.put("/file.bin", FILE, reset_after=[30_000] * 9))


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [({}, {"etag": '"second"'}), ({"etag": None, "modified": DATE}, {"etag": None, "modified": LATER})],
)
def test_a_file_that_changes_meanwhile_is_not_glued_together(
    web: Server, if_range: bool, old: dict[str, Any], new: dict[str, Any]
) -> None:
    changed = Resource(OTHER, if_range=if_range, **new)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed, **old), OTHER)


def test_a_file_of_another_length_is_another_file(web: Server) -> None:
    changed = Resource(OTHER[:-1], if_range=False)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed), OTHER[:-1])


def test_a_shorter_file_than_what_is_there_is_another_file(web: Server) -> None:
    changed = Resource(OTHER[:5_000], if_range=False)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed), OTHER[:5_000])


def test_without_validators_and_hash_nothing_is_glued(web: Server) -> None:
    changed = Resource(OTHER, etag=None)
    fetched(web.put("/file.bin", FILE, etag=None, reset_after=[100_000], then=changed), OTHER)


def test_without_validators_the_hash_finds_glued_files_and_all_comes_anew(web: Server) -> None:
    changed = Resource(FILE, etag=None)
    url = web.put("/file.bin", OTHER, etag=None, reset_after=[100_000], then=changed)
    fetched(url, sha256=SHA256)
    assert [headers.get("Range") for _, headers in web.asked] == [None, "bytes=100000-", None]


def test_a_file_that_failed_later_on_does_not_come_again(web: Server) -> None:
    """A whole file stays if what is done with it fails; with a hash the server is not even asked."""
    url = web.put("/file.bin", FILE)
    for hashes, n_asked, n_bytes in [
        ({}, 1, len(FILE)),
        ({}, 2, len(FILE) + 1),
        ({"sha256": SHA256}, 2, len(FILE) + 1),
    ]:
        with pytest.raises(ZeroDivisionError), downloaded([url], hashes=hashes) as path:
            assert path.read_bytes() == FILE
            raise ZeroDivisionError
        assert len(web.asked) == n_asked
        assert web.served == n_bytes
    fetched(url, sha256=SHA256)


def test_a_whole_file_that_has_changed_since_comes_anew(web: Server) -> None:
    url = web.put("/file.bin", FILE)
    with pytest.raises(ZeroDivisionError), downloaded([url]):
        raise ZeroDivisionError
    web.put("/file.bin", OTHER, etag='"second"')
    fetched(url, OTHER)


@pytest.mark.parametrize("notes", ["", "{}", "[]", "{", '{"etag": 1'])
def test_torn_notes_start_the_download_again(web: Server, notes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    (path,) = _partial.STORE.glob("*.json")
    path.write_text(notes)
    fetched(url)
    assert web.served == len(FILE)


def test_two_processes_do_not_write_one_file(web: Server) -> None:
    url = web.put("/file.bin", FILE)
    with downloaded([url]):
        refused(url, "another process is downloading it")
    fetched(url)

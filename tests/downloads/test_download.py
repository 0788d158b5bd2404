"""Downloads: the right file, from whichever address gives it, or one clear line."""

from __future__ import annotations

import errno
import hashlib
from typing import Any
from unittest import mock

import pytest

from genept.downloads import download as _download
from genept.downloads import partial as _partial
from genept.downloads.retry import Failure
from tests.downloads.downloading import FILE, OTHER, SHA256, fetched, refused
from tests.downloads.server import Server


def test_the_hash_is_checked_and_a_wrong_file_is_not_kept(web: Server) -> None:
    line = refused(web.put("/file.bin", OTHER), f"but {SHA256} is expected; it is another version", sha256=SHA256)
    assert hashlib.sha256(OTHER).hexdigest() in line
    assert len(web.asked) == 1
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def test_a_hash_may_be_in_capitals(web: Server) -> None:
    fetched(web.put("/file.bin", FILE), sha256=SHA256.upper())


def test_mirrors_are_asked_in_turn_and_the_last_failure_is_said(web: Server) -> None:
    gone, wrong = web.put("/gone.bin", status=410), web.put("/wrong.bin", OTHER)
    line = refused([gone, wrong], f"{wrong}: what came has sha256", sha256=SHA256)
    assert f"(before it, {gone}: it answered 410 (Gone))" in line
    fetched([gone, wrong, web.put("/file.bin", FILE)], sha256=SHA256)


def test_what_a_broken_address_left_is_removed_when_a_mirror_helps(web: Server) -> None:
    broken = web.put("/broken.bin", FILE, ranges=False, reset_after=[100_000] * 50)
    fetched([broken, web.put("/file.bin", FILE)])


def test_https_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(partial: Any, url: str, *_: Any) -> None:
        asked.append(url)
        raise Failure("no", "no")

    monkeypatch.setattr(_download, "complete", fail)
    refused(["http://a.invalid/f", "https://b.invalid/f", "https://c.invalid/f"], "no")
    assert asked == ["https://b.invalid/f", "https://c.invalid/f", "http://a.invalid/f"]


def test_a_full_disk_is_one_line_and_what_came_is_kept(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE, pause=0.01)

    class Full:
        n_calls = 0

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, _: int) -> None:
            self.n_calls += 1
            if self.n_calls == 3:
                raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as once:
        once.setattr(_download, "progress", lambda *_, **__: Full())
        refused(url, "the disk is full at data/.partial (")
    came, web.served = web.served, 0
    fetched(url)
    assert 0 < web.served < len(FILE)
    assert came > 0


def test_a_disk_that_will_be_full_is_said_before(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _: mock.Mock(free=1000))
    line = refused(web.put("/file.bin", FILE * 10), "the disk is full at data/.partial (3 MB more are needed)")
    assert "free some space and run again" in line

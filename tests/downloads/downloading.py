"""Downloads of one file, and what must be true after them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genept.core.errors import InputError
from genept.downloads import web as _web
from genept.downloads.transfer import download
from genept.downloads.web import Remote
from tests.downloads.fetching import sha256
from tests.downloads.loopback import Web

FILE, OTHER = os.urandom(300_000), os.urandom(300_000)
FOLDER = Path("partial")


def get(url: str | list[str], digest: str | None = None) -> tuple[Path, str]:
    FOLDER.mkdir(exist_ok=True)
    return download(Remote(tuple([url] if isinstance(url, str) else url)), FOLDER, digest)


def fetched(url: str | list[str], expected: bytes = FILE, digest: str | None = None) -> None:
    """Assert that the file comes, and that nothing but a lock stays beside it."""
    path, found = get(url, digest)
    assert (path.read_bytes(), found) == (expected, sha256(expected))
    path.unlink()
    assert all(left.suffix == ".lock" for left in FOLDER.iterdir())


def refused(url: str | list[str], text: str, digest: str | None = None) -> str:
    """Assert one clear line, and return it."""
    with pytest.raises(InputError) as caught:
        get(url, digest)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    return line


def interrupt(web: Web, path: str, n_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a download break off after some bytes in a run of its own."""
    web.resources[path].cuts = [n_bytes]
    with monkeypatch.context() as once:
        once.setattr(_web, "ATTEMPTS", 1)
        refused(web.url + path, "broke off; run again: it goes on where it stopped")
    web.forget()

"""Downloads of one file, and what must be true after them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genept.core.errors import InputError
from genept.downloads.store import Remote
from genept.downloads.transfer import download
from tests.downloads.fetching import one_attempt, sha256
from tests.downloads.loopback import Web

FILE, OTHER = os.urandom(300_000), os.urandom(300_000)
FOLDER = Path("partial")


def get(*urls: str, digest: str | None = None) -> tuple[Path, str]:
    FOLDER.mkdir(exist_ok=True)
    return download(Remote(urls), FOLDER, digest)


def fetched(*urls: str, expected: bytes = FILE, digest: str | None = None) -> None:
    """Assert that the file comes, and that nothing but a lock stays beside it."""
    path, found = get(*urls, digest=digest)
    assert (path.read_bytes(), found) == (expected, sha256(expected))
    path.unlink()
    assert all(left.suffix == ".lock" for left in FOLDER.iterdir())


def refused(*urls: str, text: str) -> str:
    """Assert one clear line, and return it."""
    with pytest.raises(InputError) as caught:
        get(*urls)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    return line


def interrupt(web: Web, path: str, n_bytes: int) -> None:
    """Let a download break off after some bytes in a run of its own."""
    web.resources[path].cuts = [n_bytes]
    with one_attempt():
        refused(web.url + path, text="broke off; run again: it goes on where it stopped")
    web.forget()

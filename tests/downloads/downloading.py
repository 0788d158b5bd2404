"""Downloads of one file, and what must be true after them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from genept.core.errors import InputError
from genept.downloads import partial as _partial
from genept.downloads import retry as _retry
from genept.downloads.download import downloaded
from tests.downloads.server import Server

FILE = os.urandom(300_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
OTHER = os.urandom(300_000)
TARGET = Path("folder/file.bin")
DATE, LATER = "Sat, 01 Aug 2026 10:00:00 GMT", "Sun, 02 Aug 2026 10:00:00 GMT"


def to_file(
    urls: Sequence[str], target: Path, *, headers: Mapping[str, str] | None = None, sha256: str | None = None
) -> None:
    """Download a file and move it to its place, which is what the kinds do."""
    hashes = {} if sha256 is None else {"sha256": sha256}
    with downloaded(urls, headers=headers, hashes=hashes) as path:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def refused(url: str | list[str], text: str, **options: Any) -> str:
    """Assert one clear line and nothing at the target, and return the line."""
    with pytest.raises(InputError) as caught:
        to_file([url] if isinstance(url, str) else url, TARGET, **options)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    assert not TARGET.exists()
    assert not list(Path().rglob(".writing-*"))
    return line


def fetched(url: str | list[str], expected: bytes = FILE, **options: Any) -> None:
    """Assert that the file comes, and that nothing but locks stays in the store."""
    to_file([url] if isinstance(url, str) else url, TARGET, **options)
    assert TARGET.read_bytes() == expected
    assert [path.name for path in TARGET.parent.iterdir()] == [TARGET.name]
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def interrupt(web: Server, path: str, n_bytes: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Let a download break off after some bytes in a run of its own."""
    web.resources[path].reset_after = [n_bytes]
    with monkeypatch.context() as once:
        once.setattr(_retry, "ATTEMPTS", 1)
        refused(web.url + path, "broke off", **options)
    web.served = 0
    web.asked.clear()

"""Fetching the files of a dataset called ``demo`` from any source, and what must be true after it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.core.errors import InputError
from genept.downloads import web
from genept.downloads.config import read_sources
from genept.downloads.fetch import fetch_with_fallback

COUNTS = os.urandom(50_000)
FOLDER = Path("data/demo/raw")
STORE = Path(".dvc/downloads")
LOCK = Path("data/hashes.lock.yaml")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def fetch(kind: str, files: dict[str, Any], fallback: dict[str, Any] | None = None, **source: Any) -> str:
    """Fetch as the stage does, and return what it prints."""
    other = None if fallback is None else read_sources(fallback)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        fetch_with_fallback("data/demo", read_sources({"kind": kind, **source, "files": files}), other, FOLDER)
    return output.getvalue()


def fetched(kind: str, files: dict[str, Any], expected: dict[str, bytes], **source: Any) -> str:
    """Fetch, assert that exactly these files are there, and return what was printed."""
    output = fetch(kind, files, **source)
    assert content() == expected
    assert not parts()
    return output


def refused(kind: str, files: dict[str, Any], text: str, **source: Any) -> str:
    """Fetch, assert one clear line and that the folder is as it was, and return the line."""
    before = content()
    with pytest.raises(InputError) as caught:
        fetch(kind, files, **source)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    assert content() == before
    assert not list(Path().rglob(".writing-*"))
    return line


def content() -> dict[str, bytes]:
    """Return what is in the dataset's folder."""
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}


def forget_files() -> None:
    """Empty the store, and the folder, from which files with the right sha256 would come back."""
    for folder in (STORE, FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def parts() -> list[Path]:
    """Return the unfinished downloads."""
    return [path for path in (STORE / "partial").rglob("*") if path.is_file() and path.suffix != ".lock"]


def locked() -> dict[str, dict[str, Any]]:
    """Return the content of the lock."""
    return dict(yaml.safe_load(LOCK.read_text()) or {}) if LOCK.exists() else {}


@contextlib.contextmanager
def one_attempt() -> Iterator[None]:
    """Let downloads give up at once, as at the end of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "ATTEMPTS", 1)
        yield


def tar(content: dict[str, Any], mode: str = "w") -> bytes:
    """Write a tar of files and, where a value is a `TarInfo`, of anything."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, value in content.items():
            info = value if isinstance(value, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(value, bytes):
                info.size = len(value)
                archive.addfile(info, io.BytesIO(value))
            else:
                archive.addfile(info)
    return stream.getvalue()


def zipped(content: dict[Any, Any], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip of files, named or described."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return stream.getvalue()

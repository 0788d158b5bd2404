"""Files that have come in part, under ``data/.partial/``, and what tells whether more of them is more of the same.

Per address, or per name of a file whose address is another one in every run, the folder holds the bytes, a note of what
the server said about the file, and a lock against a second process. It may be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping

import filelock
import requests

from genept.core import files
from genept.core.errors import InputError
from genept.downloads import PARTIAL
from genept.downloads.address import plain

STORE = PARTIAL


class Partial:
    """What has come from one address so far, and what the server said about the file; locked while in use.

    Parameters
    ----------
    url
        The address.
    name
        What the file is called in every run, where the address changes.

    Attributes
    ----------
    path
        The bytes from the file's beginning.
    length
        The whole file's bytes, if the server said so.
    """

    def __init__(self, url: str, name: str | None = None) -> None:
        name = hashlib.sha256((name or url).encode()).hexdigest()[:32]
        self.url, self.path, self.notes = url, STORE / name, STORE / f"{name}.json"
        self.lock = filelock.FileLock(STORE / f"{name}.lock", timeout=0)
        self.etag: str | None = None
        self.modified: str | None = None
        self.length: int | None = None

    def __enter__(self) -> Partial:
        STORE.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except filelock.Timeout:
            message = "another process is downloading it; run again when it is done"
            raise InputError(f"{plain(self.url)}: {message}") from None
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            self.etag, self.modified, self.length = notes["etag"], notes["modified"], notes["length"]
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, answer: requests.Response, length: int | None) -> None:
        """Forget what was there and note which file comes now."""
        self.remove()
        self.etag, self.modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        self.path.touch()
        self.note(length)

    def note(self, length: int | None) -> None:
        """Note the whole file's length beside what the server said about it."""
        self.length = length
        notes = {"address": plain(self.url), "etag": self.etag, "modified": self.modified, "length": length}
        files.write_json(self.notes, notes)

    def remove(self) -> None:
        """Remove the bytes and the notes."""
        for path in (self.path, self.notes):
            path.unlink(missing_ok=True)
        self.etag = self.modified = self.length = None

    def same_file(self, answer: requests.Response) -> bool:
        """Whether an answer's validators are those of the file that was begun; one that is not given does not count."""
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        if self.etag and etag:
            return bool(self.etag == etag)
        return not (self.modified and modified) or bool(self.modified == modified)

    def request(self, hashes: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        """Return from which byte on the file is missing and the headers that ask for the rest.

        Without a validator of the server and without a hash nobody could tell parts of two files from one file: then
        it starts again. A whole file is asked for its last byte, to hear whether it is still the same.
        """
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        validator = strong or self.modified
        start = self.size - 1 if self.size == self.length else self.size
        if start < 1 or not (validator or hashes) or (self.length is not None and start > self.length):
            return 0, {}
        return start, {"Range": f"bytes={start}-", **({"If-Range": validator} if validator else {})}

"""Downloads over HTTP that go on where they broke off.

The resume by range is written here, because requests and pooch start every download again from its first byte: a file
of 13.5 GB over a bad line would never come. Unfinished files lie in the store's ``partial`` folder with a note of what
the server said about the file (``ETag``, ``Last-Modified``, length), so that parts of two different files are never
joined. They stay after an error, Ctrl-C or a crash, and the next run goes on with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from pathlib import Path

import requests

from genept.core import files
from genept.core.cli import progress_bar
from genept.core.errors import InputError
from genept.downloads import web
from genept.downloads.store import Remote, locked
from genept.downloads.web import BY_HAND, GO_ON, HEAD, Failure, ask, check_page, check_status, file_name, plain

MAX_BYTES = 64 << 30  # of a file whose length is not said


class Part:
    """What has come of a file so far, and what the server said about it; another process waits while it is in use.

    `name` is what the file is called in every run if its address changes.
    """

    def __init__(self, folder: Path, url: str, name: str | None = None) -> None:
        key = hashlib.sha256((name or url).encode()).hexdigest()[:32]
        self.url, self.path, self.notes = url, folder / key, folder / f"{key}.json"  # the bytes from the beginning
        self.lock = locked(folder, key, plain(url))
        self.etag: str | None = None  # as the server said; None if it did not
        self.modified: str | None = None
        self.length: int | None = None

    def __enter__(self) -> Part:
        self.lock.__enter__()
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # no notes, or torn ones
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            self.etag, self.modified, self.length = notes["etag"], notes["modified"], notes["length"]
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.__exit__(None, None, None)

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, answer: requests.Response, length: int | None) -> None:
        """Forget what was there and note which file comes now."""
        self.etag, self.modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        self.length = length
        self.path.write_bytes(b"")
        notes = {"address": plain(self.url), "etag": self.etag, "modified": self.modified, "length": length}
        files.write_json(self.notes, notes)

    def remove(self) -> None:
        """Remove the bytes and the notes."""
        for path in (self.path, self.notes):
            path.unlink(missing_ok=True)
        self.etag = self.modified = self.length = None

    def changed(self) -> Failure:
        """Drop a part of a file that is another one now."""
        self.remove()
        return Failure("the file has changed while it was downloaded", "run again", again=True)

    def request(self, *, verifiable: bool) -> tuple[int, dict[str, str]]:
        """Return from which byte on the file is missing and the headers that ask for the rest.

        Without a validator of the server and without a hash nobody could tell parts of two files from one file: then
        the download starts again. Of a file that is whole the last byte is asked for, to learn whether it has changed.
        """
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        validator = strong or self.modified
        start = self.size - 1 if self.size == self.length else self.size
        if start < 1 or not (validator or verifiable) or (self.length is not None and start > self.length):
            return 0, {}
        return start, {"Range": f"bytes={start}-", **({"If-Range": validator} if validator else {})}

    def check(self, answer: requests.Response, start: int) -> None:
        """Check that an answer of status 206 goes on with the same file where the part ends."""
        match = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", "").strip()
        )
        length = int(match[2]) if match and match[2] != "*" else self.length
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        before, now = (self.etag, etag) if self.etag and etag else (self.modified, modified)
        same = before == now or not before or not now
        if not match or int(match[1]) != start or self.length not in (None, length) or not same:
            raise self.changed()


def download(remote: Remote, folder: Path, sha256: str | None) -> tuple[Path, str]:
    """Download a file from the first of its addresses that gives it; see `genept.downloads.place.Place.get`.

    What came stays in `folder` after an error. `NotFoundAtSource` if every address answers that there is no such thing.
    """
    failures = []
    for url in remote.urls:
        try:
            with Part(folder, url, remote.name) as part:
                return part.path, complete(part, remote, sha256)
        except Failure as failure:
            failures.append((url, failure))
    raise web.to_error(failures)


def size(remote: Remote) -> int | None:
    """Ask for one byte of a file at the first of its addresses that gives it; return the file's size if it is said.

    Errors are those of `download`.
    """
    failures = []
    for url in remote.urls:
        try:
            with ask(url, {**dict(remote.headers), "Range": "bytes=0-0"}) as answer:
                check_status(answer, remote.refused)
                check_page(answer, answer.raw.read1(HEAD, decode_content=False), url)
                return web.length(answer)
        except Failure as failure:
            failures.append((url, failure))
    raise web.to_error(failures)


def complete(part: Part, remote: Remote, sha256: str | None) -> str:
    """Download what is missing of a file, in as many attempts as bring new bytes, and return its sha256."""

    def attempt() -> str:
        start = receive(part, remote, verifiable=bool(sha256 or remote.stated))
        return check_hashes(part, remote, sha256, again=start > 0)

    found = web.repeat(attempt, lambda: part.size)
    part.notes.unlink(missing_ok=True)
    return found


def receive(part: Part, remote: Remote, *, verifiable: bool) -> int:
    """Ask once for what is missing of a file and receive it; return the byte that the answer began with."""
    start, headers = part.request(verifiable=verifiable)
    with ask(part.url, {**dict(remote.headers), **headers}) as answer:
        if answer.status_code == 416 and start:
            raise part.changed()
        check_status(answer, remote.refused)
        encoding = web.encoding_of(answer)
        compressed = any(file_name(url).lower().endswith((".gz", ".tgz")) for url in (part.url, answer.url))
        if encoding != "identity" and not compressed:  # some servers call the compression of a .gz file an encoding
            raise Failure(f"it answered with an encoding ({encoding})", f"use a mirror, or {BY_HAND}")
        if answer.status_code == 206:
            part.check(answer, start)
        else:
            start = 0
        write(part, answer, start, verifiable=verifiable)
    return start


def write(part: Part, answer: requests.Response, start: int, *, verifiable: bool) -> None:
    """Write the body of an answer to the part, from byte `start` on, and check that nothing is missing."""
    rest = None if answer.raw.chunked else web.number(answer.headers.get("Content-Length", ""))
    if rest is None and not verifiable and not answer.raw.chunked:
        to_do = "add its sha256 to the settings, or use a mirror"
        raise Failure("it does not say how long the file is, so half of it could pass for all", to_do)
    chunk = answer.raw.read1(files.CHUNK, decode_content=False)
    if not start:
        while len(chunk) < HEAD and (more := answer.raw.read1(files.CHUNK, decode_content=False)):
            chunk += more
        if not chunk and not rest:
            raise Failure("the answer is empty", f"run again later, or {BY_HAND}")
        check_page(answer, chunk, part.url)
        part.begin(answer, rest)
    free = shutil.disk_usage(part.path.parent).free
    most = start + (min(MAX_BYTES, free // 2) if rest is None else rest)
    if rest is not None and free < rest:
        raise InputError(
            f"{plain(part.url)}: the disk is full at {part.path.parent} ({rest / 1e6:,.0f} MB more are needed); "
            f"free some space and {GO_ON}"
        )
    bar = progress_bar(file_name(part.url), part.length or 0, "B")
    bar.initial = bar.n = start
    with bar, part.path.open("r+b") as output:
        output.seek(start)
        while chunk:
            output.write(chunk)
            bar.update(len(chunk))
            if output.tell() > most:
                part.remove()
                to_do = f"if that is right, {BY_HAND}"
                raise Failure(f"it did not end after {most / 1e6:,.1f} MB and does not say how long it is", to_do)
            chunk = answer.raw.read1(files.CHUNK, decode_content=False)
        output.truncate()
    if rest is not None and part.size != start + rest:
        raise Failure(f"the connection ended after {part.size:,} of {start + rest:,} bytes", GO_ON, again=True)


def check_hashes(part: Part, remote: Remote, sha256: str | None, *, again: bool) -> str:
    """Compare a whole file with the hashes that it must have and return its sha256."""
    found = files.sha256(part.path)
    for name, expected in (remote.stated or ("md5", None), ("sha256", sha256)):
        with part.path.open("rb") as stream:
            digits = found if name == "sha256" else hashlib.file_digest(stream, name).hexdigest()
        if expected and digits != expected:
            part.remove()
            to_do = (
                "it is another version or was altered; if you trust it, correct the sha256 in the settings, or remove "
                "the lines of the file from data/hashes.lock.yaml"
            )
            # asked again if it may be parts of two files
            raise Failure(f"what came has {name} {digits}, but {expected} is expected", to_do, again=again)
    return found

"""Downloading files over HTTP so that half a download is never taken for a whole one and none has to start again.

What has come is kept (``_partial.py``) until the whole file is there and has the right hashes. A run that was stopped,
by an error, Ctrl-C or a crash, goes on from there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import requests

from genept.core import files
from genept.core.cli import progress
from genept.core.errors import InputError
from genept.downloads import partial as _partial
from genept.downloads.address import Signed, check_address, file_name, plain
from genept.downloads.answer import announced, check_page, check_status, decoding
from genept.downloads.partial import Partial
from genept.downloads.retry import BY_HAND, GO_ON, Failure, persist
from genept.downloads.web import ask

GIT = "git blob sha1"
HEAD = 1 << 10  # bytes by which a web page is told from a file
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def downloaded(
    urls: Sequence[str],
    *,
    headers: Mapping[str, str] | None = None,
    hashes: Mapping[str, str] | None = None,
    signed: Signed | None = None,
) -> Iterator[Path]:
    """Give the path of a whole file in ``data/.partial/``, to be moved away or read.

    It is removed at the end; after an error it stays, so that it need not come again.

    Parameters
    ----------
    urls
        Addresses of the same file, at least one, of which the first that gives it is taken; those with https are asked
        before the others.
    headers
        Further request headers, such as a token. They are never shown, and not sent to another host by a redirect.
    hashes
        What the file must have: hexadecimal digits by the name of the algorithm, such as ``{"md5": ...}``; `GIT` is
        git's sha1 of a file, and ``{"size": ...}`` has decimal digits.
    signed
        If the address, of which there is only one then, is another one in every run.

    Raises
    ------
    InputError
        If no address gives the file: what the last one answered, and what those before it did. `Absent` if each said
        that there is no such thing.
    """
    for url in urls:
        check_address(url)
    hashes = {algorithm: str(digits).lower() for algorithm, digits in (hashes or {}).items()}
    failures: list[tuple[str, Failure]] = []
    for url in sorted(urls, key=lambda url: not url.lower().startswith("https:")):
        with Partial(url, signed.name if signed else None) as partial:
            try:
                complete(partial, url, headers or {}, hashes, signed)
            except Failure as failure:
                failures.append((url, failure))
                continue
            yield partial.path
            partial.remove()
            for other, _ in failures:
                Partial(other).remove()
            return
    (last, reason), earlier = failures[-1], failures[:-1]
    before = "; ".join(f"{plain(url)}: {failure.what}" for url, failure in earlier)
    nowhere = all(failure.absent for _, failure in failures)
    raise reason.error(plain(last), f" (before it, {before})" if before else "", absent=nowhere)


def complete(
    partial: Partial, url: str, headers: Mapping[str, str], hashes: Mapping[str, str], signed: Signed | None
) -> None:
    """Download what is missing of a file and check it.

    Raises
    ------
    Failure
        If this address does not give the file.
    """
    if hashes and partial.size and partial.size == partial.length and not wrong_hash(partial.path, hashes):
        return
    persist(lambda: attempt(partial, url, headers, hashes, signed), lambda: partial.size)


def attempt(
    partial: Partial, url: str, headers: Mapping[str, str], hashes: Mapping[str, str], signed: Signed | None
) -> None:
    """Ask once for what is missing of a file, receive it and check the whole."""
    start, rest = partial.request(hashes)
    with ask(url, {**headers, **rest}) as answer:
        if answer.status_code == 416 and start:
            partial.remove()
            raise Failure("the file has changed while it was downloaded", "run again", again=True)
        check_status(answer, signed)
        if answer.status_code == 206:
            length = check_part(partial, answer, start)
        else:
            start, length = 0, announced(answer, url)
        try:
            receive(partial, answer, start, length, url, anonymous=not hashes)
        except OSError as error:
            if error.errno not in DISK_FULL or isinstance(error, requests.RequestException):
                raise
            raise full_disk(url, partial.size, length) from None
    if wrong := wrong_hash(partial.path, hashes):
        partial.remove()
        raise Failure(
            f"what came has {wrong}; it is another version or was altered",
            "run again later; if you trust it, correct the hash in params.yaml, unless it is the service's own",
            again=start > 0,  # parts of two files, perhaps
        )


def check_part(partial: Partial, answer: requests.Response, start: int) -> int | None:
    """Check that an answer of status 206 goes on where the file ends and return the whole file's length."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    length = int(match[2]) if match and match[2] != "*" else partial.length
    changed = partial.length is not None and length != partial.length
    if not match or int(match[1]) != start or changed or not partial.same_file(answer) or decoding(answer, partial.url):
        partial.remove()
        raise Failure("the file has changed while it was downloaded", "run again", again=True)
    return length


def receive(
    partial: Partial, answer: requests.Response, start: int, length: int | None, url: str, *, anonymous: bool
) -> None:
    """Write the body of an answer to the partial file, from byte `start` on, and check that nothing is missing.

    An answer without a length that ends with the connection could be half a file: then there must be a hash, and an
    `anonymous` file, which has none, is refused.
    """
    decode = decoding(answer, url)
    if anonymous and length is None and answer.raw.length_remaining is None and not answer.raw.chunked:
        to_do = "add its sha256 in params.yaml, or use a mirror"
        raise Failure("it does not say how long the file is, so half of it could pass for all", to_do)
    chunk = answer.raw.read1(files.CHUNK, decode_content=decode)
    if not start:
        while len(chunk) < HEAD and (more := answer.raw.read1(files.CHUNK, decode_content=decode)):
            chunk += more
        if not chunk and not length:
            raise Failure("the answer is empty", f"run again later, or {BY_HAND}")
        check_page(answer, chunk, url)
        partial.begin(answer, length)
    if length is not None and shutil.disk_usage(_partial.STORE).free < length - start:
        raise full_disk(url, start, length)
    bar = progress(None, file_name(url), total=length, unit="B")
    bar.unit_scale, bar.initial, bar.n = True, start, start
    with bar, partial.path.open("r+b") as output:
        output.seek(start)
        while chunk:
            output.write(chunk)
            bar.update(len(chunk))
            chunk = answer.raw.read1(files.CHUNK, decode_content=decode)
        output.truncate()
        size = output.tell()
    if length is not None and size != length:
        raise Failure(f"the connection ended after {size:,} of {length:,} bytes", GO_ON, again=True)
    if length is None:
        partial.note(size)


def wrong_hash(path: Path, hashes: Mapping[str, str]) -> str | None:
    """Say which hash of a file differs from the one that it must have; None if none does."""
    for algorithm, expected in hashes.items():
        found = digest(path, algorithm)
        if found != expected:
            return f"{algorithm} {found}, but {expected} is expected"
    return None


def digest(path: Path, algorithm: str) -> str:
    """Return the hash of a file as hexadecimal digits; git's is of the word ``blob``, the size and the content."""
    size = path.stat().st_size
    if algorithm == "size":
        return str(size)
    hasher = hashlib.new("sha1" if algorithm == GIT else algorithm, usedforsecurity=False)
    hasher.update(b"blob %d\0" % size if algorithm == GIT else b"")
    with path.open("rb") as stream:
        while chunk := stream.read(files.CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def full_disk(url: str, size: int, length: int | None) -> InputError:
    """Say that the disk is full."""
    more = f"{(length - size) / 1e6:,.0f} MB more are needed" if length is not None else f"{size / 1e6:,.0f} MB came"
    return InputError(f"{plain(url)}: the disk is full at {_partial.STORE} ({more}); free some space and {GO_ON}")

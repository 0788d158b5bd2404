"""Downloading files over HTTP so that half a download is never taken for a whole one and none has to start again.

What has come is kept under ``data/.partial/`` until the whole file is there and has the right hashes. A run that was
stopped, by an error, Ctrl-C or a crash, goes on from there; the folder may be removed at any time. Per address it
holds the bytes, a note of what the server said about the file, and a lock against a second process.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import errno
import hashlib
import http
import json
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import click
import filelock
import requests
import urllib3

from stages import files
from stages.cli import progress
from stages.errors import InputError, ParamsError
from stages.fetch import PARTIAL

STORE = PARTIAL
ATTEMPTS = 5  # in a row without a new byte
BACKOFF = 1.0  # seconds before the second attempt, doubled for each further one
MAX_WAIT = 300.0  # seconds; who asks to wait longer is asked again in the next run
TOLD_WAIT = 5.0  # seconds; a longer wait is said on the error stream
CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0  # seconds without a byte
MAX_REDIRECTS = 10
MAX_JSON = 16 << 20
HEAD = 1 << 10  # bytes by which a web page is told from a file

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
BY_HAND = "get it in a browser and use `kind: local`"
GO_ON = "run again: it goes on where it stopped"
PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)

T = TypeVar("T")


class Failure(Exception):
    """An address did not give what was asked for: what happened, what to do, and whether and when to ask it again."""

    def __init__(self, what: str, to_do: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.what, self.to_do, self.again, self.wait = what, to_do, again, wait


def to_file(
    urls: Sequence[str], target: Path, *, headers: Mapping[str, str] | None = None, sha256: str | None = None
) -> None:
    """Download one file into `target` from the first of `urls` (the file's address, then mirrors) that gives it.

    Parameters
    ----------
    urls
        Addresses of the same file, at least one; those with https are asked first.
    target
        Where the file goes; nothing is there unless the whole file is.
    headers
        Further request headers, such as a token. They are never shown, and not sent to another host by a redirect.
    sha256
        What the file must have, as 64 hexadecimal digits.

    Raises
    ------
    InputError
        If no address gives the file.
    """
    hashes = {} if sha256 is None else {"sha256": sha256}
    with downloaded(urls, headers=headers, hashes=hashes) as path, files.replacing(target) as new:
        shutil.move(path, new)


@contextlib.contextmanager
def downloaded(
    urls: Sequence[str], *, headers: Mapping[str, str] | None = None, hashes: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Give the path of a whole file in ``data/.partial/``, to be moved away or read.

    It is removed at the end; after an error it stays, so that it need not come again.

    Parameters
    ----------
    urls, headers
        As of `to_file`.
    hashes
        What the file must have: hexadecimal digits by the name of the algorithm, such as ``{"md5": ...}``.

    Raises
    ------
    InputError
        If no address gives the file: what the last one answered, and what those before it did.
    """
    for url in urls:
        check_address(url)
    hashes = {algorithm: str(digits).lower() for algorithm, digits in (hashes or {}).items()}
    failures: list[tuple[str, Failure]] = []
    for url in sorted(urls, key=lambda url: not url.lower().startswith("https:")):
        with Partial(url) as partial:
            try:
                complete(partial, url, headers or {}, hashes)
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
    raise InputError(f"{plain(last)}: {reason.what}; {reason.to_do}{f' (before it, {before})' if before else ''}")


def read_json(url: str) -> Any:
    """Ask a web service and return its JSON answer.

    Raises
    ------
    InputError
        If it does not answer, or not with JSON of at most 16 MiB.
    """
    check_address(url)

    def once() -> Any:
        with ask(url, {"Accept": "application/json"}) as answer:
            check_status(answer)
            body = answer.raw.read(MAX_JSON + 1, decode_content=True)
        try:
            if len(body) > MAX_JSON:
                raise ValueError
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Failure("the answer is not the JSON it should be", "run again later") from None

    try:
        return persist(once)
    except Failure as failure:
        raise InputError(f"{plain(url)}: {failure.what}; {failure.to_do}") from None


class Partial:
    """What has come from one address so far, and what the server said about the file; locked while in use.

    Attributes
    ----------
    path
        The bytes from the file's beginning.
    length
        The whole file's bytes, if the server said so.
    """

    def __init__(self, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
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


def complete(partial: Partial, url: str, headers: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Download what is missing of a file and check it.

    Raises
    ------
    Failure
        If this address does not give the file.
    """
    if hashes and partial.size and partial.size == partial.length and not wrong_hash(partial.path, hashes):
        return
    persist(lambda: attempt(partial, url, headers, hashes), lambda: partial.size)


def persist(once: Callable[[], T], size: Callable[[], int] = lambda: 0) -> T:
    """Call `once` until it succeeds, or fails for good or `ATTEMPTS` times in a row without more bytes than ever."""
    failures, most = 0, size()
    while True:
        try:
            return once()
        except Failure as failure:
            if size() > most:
                failures, most = 0, size()
            failures += 1
            if not failure.again or failures >= ATTEMPTS:
                raise
            wait = BACKOFF * 2 ** (failures - 1) if failure.wait is None else failure.wait
            if wait >= TOLD_WAIT:
                click.echo(f"{failure.what}; trying again in {wait:.0f} s", err=True)
            time.sleep(wait)


def attempt(partial: Partial, url: str, headers: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Ask once for what is missing of a file, receive it and check the whole."""
    start, rest = partial.request(hashes)
    with ask(url, {**headers, **rest}) as answer:
        if answer.status_code == 416 and start:
            partial.remove()
            raise Failure("the file has changed while it was downloaded", "run again", again=True)
        check_status(answer)
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
            "correct the hash in params.yaml if you trust it, or the address",
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
        check_page(answer, chunk, url)
        partial.begin(answer, length)
    if length is not None and shutil.disk_usage(STORE).free < length - start:
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
    if not size:
        raise Failure("the answer is empty", f"run again later, or {BY_HAND}")
    if length is None:
        partial.note(size)


class Session(requests.Session):
    """A session that leaves redirects, and what comes with them, to `follow`."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response, None, None]:
        """Give no further request; the inherited method reads the whole body of a redirect."""
        yield from ()


@contextlib.contextmanager
def ask(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """Give the answer to a GET request, its body not yet read; whatever goes wrong with the network is a `Failure`.

    Redirects are followed, at most `MAX_REDIRECTS`, never from https to http; another host gets no headers but the
    ones that ask for a part. Proxies and certificates are those that the environment names.
    """
    try:
        with Session() as session:
            answer = follow(session, url, {"Accept-Encoding": "identity", **headers})
            with answer:
                yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise explain(error, urlsplit(url).hostname or "") from None


def follow(session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
    """Send a GET request and follow redirects to the answer."""
    public = {"accept", "accept-encoding", "range", "if-range"}
    seen: list[str] = []
    while True:
        try:
            answer = session.get(
                url, headers=dict(headers), stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
            )
        except requests.RequestException:
            raise
        except ValueError:  # of the parts of an address, which the library does not all check
            raise Failure("it is, or redirects to, no web address", "correct it in params.yaml") from None
        if not answer.is_redirect:
            return answer
        answer.close()
        seen.append(url)
        old, url = url, target_of(url, answer.headers["Location"])
        if urlsplit(old).scheme == "https" and urlsplit(url).scheme == "http":
            what = f"it redirects from https to http ({plain(url)}), which anyone on the way could alter"
            raise Failure(what, "use another address")
        if len(seen) > MAX_REDIRECTS:
            way = "in a circle" if url in seen else f"more than {MAX_REDIRECTS} times"
            raise Failure(f"it redirects {way}", f"run again later, or {BY_HAND}")
        if urlsplit(old).netloc != urlsplit(url).netloc:
            headers = {name: value for name, value in headers.items() if name.lower() in public}


def target_of(url: str, location: str) -> str:
    """Return the address that a redirect names, absolute or relative to `url`."""
    try:
        target = urljoin(url, location.encode("latin-1", "replace").decode(errors="replace"))
    except ValueError:
        target = ""
    if not is_address(target):
        raise Failure("it redirects to what is no web address", "correct the address in params.yaml")
    return target


def check_status(answer: requests.Response) -> None:
    """Refuse an answer that is not a file or a part of it."""
    status = answer.status_code
    if status in (200, 206):
        return
    try:
        what = f"it answered {status} ({http.HTTPStatus(status).phrase})"
    except ValueError:
        what = f"it answered {status}"
    if status in TRANSIENT:
        wait = retry_after(answer.headers.get("Retry-After"))
        if wait is not None and wait > MAX_WAIT:
            raise Failure(f"{what} and asks to wait {wait:.0f} s", "run again then: it goes on where it stopped")
        raise Failure(what, f"{GO_ON}; if it stays so, add a mirror", again=True, wait=wait)
    if status in (404, 410):
        raise Failure(what, "there is no such thing; correct its entry in params.yaml")
    if status in (401, 402, 403, 407, 451):
        raise Failure(what, f"it may want a login or a browser; {BY_HAND}")
    if status == 202:
        raise Failure(what, f"it may want to see a browser first; {BY_HAND}, or run again later")
    raise Failure(what, f"correct its entry in params.yaml, or {BY_HAND}")


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header names, as a number or a date; None if it does not."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    now = datetime.datetime.now(datetime.UTC)
    date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - now).total_seconds())


def check_page(answer: requests.Response, start: bytes, url: str) -> None:
    """Refuse a web page where a file was expected: pages for login, quota or consent come with status 200."""
    if PurePosixPath(file_name(url)).suffix.lower() in (".html", ".htm", ".xhtml"):
        return
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") or PAGE.match(start):
        title = TITLE.search(start)
        text = " ".join(title[1].decode(errors="replace").split()) if title else ""
        named = f" ({plain_text(text)[:80]!r})" if text else ""
        what = f"it answered with a web page{named}, not the file"
        raise Failure(what, f"it may want a login or a browser; {BY_HAND}")


def decoding(answer: requests.Response, url: str) -> bool:
    """Whether the body must be decoded to be the file.

    No encoding is asked for. Some servers name the compression of a ``.gz`` file itself as an encoding: that stays.

    Raises
    ------
    Failure
        If the encoding is not known here.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    compressed = any(file_name(address).lower().endswith((".gz", ".tgz")) for address in (url, answer.url))
    if encoding in ("", "identity") or compressed:
        return False
    if encoding in ("gzip", "x-gzip", "deflate"):
        return True
    raise Failure(f"it answered with an unknown encoding ({plain_text(encoding)})", f"use a mirror, or {BY_HAND}")


def announced(answer: requests.Response, url: str) -> int | None:
    """Return the bytes of the file that comes, if the server says so."""
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and not decoding(answer, url) else None


def wrong_hash(path: Path, hashes: Mapping[str, str]) -> str | None:
    """Say which hash of a file differs from the one that it must have; None if none does."""
    for algorithm, expected in hashes.items():
        with path.open("rb") as stream:
            found = digest(stream, algorithm)
        if found != expected:
            return f"{algorithm} {found}, but {expected} is expected"
    return None


def digest(stream: IO[bytes], algorithm: str) -> str:
    """Return the hash of a stream as hexadecimal digits."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := stream.read(files.CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest()


def explain(error: Exception, host: str) -> Failure:
    """Say what a network error means. Texts of the libraries are not shown: they hold addresses with queries."""
    found = causes(error)

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in found)

    if among(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError, requests.exceptions.InvalidProxyURL):
        return Failure("the proxy does not answer", "check the proxy that HTTPS_PROXY names", again=True)
    if among(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, urllib3.exceptions.LocationParseError):
        return Failure("it is, or redirects to, no web address", "correct it in params.yaml")
    if among(requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        to_do = "check the computer's date, and the certificates that REQUESTS_CA_BUNDLE names"
        return Failure("no secure connection, or its certificate could not be verified", to_do)
    if among(urllib3.exceptions.NameResolutionError):
        return Failure(f"no address is known for {host} (DNS)", "check the network and the name", again=True)
    if among(urllib3.exceptions.NewConnectionError):
        return Failure("no connection", "check the network, the proxy and the address, or run again later", again=True)
    if among(requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError):
        what = f"no connection within {CONNECT_TIMEOUT:.0f} s"
        return Failure(what, "check the network or run again later", again=True)
    if among(requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
        return Failure(f"it stalled: nothing came for {READ_TIMEOUT:.0f} s", GO_ON, again=True)
    if among(urllib3.exceptions.DecodeError):
        return Failure("what came is damaged", GO_ON, again=True)
    return Failure("the connection broke off", GO_ON, again=True)


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those it was made from, which libraries keep in different places."""
    found: list[BaseException] = []
    rest: list[Any] = [error]
    while rest:
        one = rest.pop()
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            rest += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found


def full_disk(url: str, size: int, length: int | None) -> InputError:
    """Say that the disk is full."""
    more = f"{(length - size) / 1e6:,.0f} MB more are needed" if length is not None else f"{size / 1e6:,.0f} MB came"
    return InputError(f"{plain(url)}: the disk is full at {STORE} ({more}); free some space and {GO_ON}")


def is_address(url: str) -> bool:
    """Whether a text is the address of something on the web."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_address(url: str) -> None:
    """Refuse what is no address of a file on the web."""
    if not is_address(url):
        raise ParamsError(f"params.yaml: {plain_text(url.partition('?')[0])!r} is no http or https address of a file")


def plain(url: str) -> str:
    """Return an address as it may be shown: without user name, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return plain_text(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def plain_text(text: str) -> str:
    """Return at most 300 printable characters of a text, on one line."""
    return "".join(character if character.isprintable() else "?" for character in text)[:300]


def file_name(url: str) -> str:
    """Return the name of the file at an address."""
    return plain_text(PurePosixPath(unquote(urlsplit(url).path)).name)

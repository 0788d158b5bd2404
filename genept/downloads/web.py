"""Asking the web by requests: repeated attempts, and what an answer or a network error means, in one line.

Proxies and certificates are those that the environment names.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests import exceptions

from genept.core import files
from genept.core.errors import InputError, NotFoundAtSource, printable

TIMEOUT = (20.0, 60.0)  # seconds to connect, and without a byte
ATTEMPTS = 5  # in a row without a new byte
BACKOFF = 1.0  # seconds before the second attempt, doubled for each further one
MAX_WAIT = 300.0  # seconds; a server that asks to wait longer is asked again in the next run
LEAST_RATE = 1000  # bytes a second, on average over each `WINDOW`
WINDOW = 300.0  # seconds of waiting for bytes
MAX_HEAD = 1 << 20  # bytes before the body of an answer
MAX_BODY = 8 << 20  # what an answer that is no file may unpack to
ENCODINGS = ("gzip", "x-gzip", "deflate")

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
HEAD = 4096  # bytes by which a web page is told from a file
PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf\s*)?(?>(?:<!--.*?-->\s*)*)<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)
POINTER = b"version https://git-lfs.github.com/spec/v1\n"

BY_HAND = "get it in a browser and use `kind: local`"
LOGIN = f"it may want a login or a browser; {BY_HAND}"
GO_ON = "run again: it goes on where it stopped"
T = TypeVar("T")
wait, clock = time.sleep, time.monotonic


class Failure(Exception):
    """An address did not give the file: what happened, and what to do about it.

    `again`: whether to ask again at once, or after `seconds` if the server says so. `absent`: there is no such thing.
    """

    def __init__(
        self, what: str, to_do: str, *, again: bool = False, seconds: float | None = None, absent: bool = False
    ) -> None:
        super().__init__(what)
        self.what, self.to_do, self.again, self.seconds, self.absent = what, to_do, again, seconds, absent


def repeat(attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
    """Return the result of the first attempt that succeeds; give up after `ATTEMPTS` in a row without progress."""
    failures, most = 0, progress()
    while True:
        try:
            return attempt()
        except Failure as failure:
            failures = 1 if progress() > most else failures + 1
            most = max(most, progress())
            if not failure.again or failures >= ATTEMPTS:
                raise
            wait(BACKOFF * 2 ** (failures - 1) if failure.seconds is None else failure.seconds)


@contextlib.contextmanager
def briefly() -> Iterator[None]:
    """Ask once and wait for seconds only, in every thread: for a check of what answers, not for downloads."""
    global TIMEOUT, ATTEMPTS, WINDOW
    usual = TIMEOUT, ATTEMPTS, WINDOW
    TIMEOUT, ATTEMPTS, WINDOW = (5.0, 10.0), 1, 10.0
    try:
        yield
    finally:
        TIMEOUT, ATTEMPTS, WINDOW = usual


class Watch(io.RawIOBase):
    """The bytes of a connection, headers included; a server that sends too few of them is a `Failure`.

    Only the time spent waiting for bytes counts. Time-outs of `requests` see a pause alone, not a byte now and then.
    The server is not asked again at once: each attempt would bring some bytes, without end.
    """

    def __init__(self, stream: Any) -> None:
        self.stream, self.waited, self.n_bytes = stream, 0.0, 0
        self.left: float = MAX_HEAD

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See `io.RawIOBase`."""
        start = clock()
        count: int | None = self.stream.readinto(buffer)
        self.waited, self.n_bytes = self.waited + clock() - start, self.n_bytes + (count or 0)
        self.left -= count or 0
        if self.left < 0:
            raise Failure(f"it sent more than {MAX_HEAD >> 20} MB of headers", f"run again later, or {BY_HAND}")
        if self.waited >= WINDOW:
            if self.n_bytes < LEAST_RATE * self.waited:
                raise Failure(f"it sent less than {LEAST_RATE / 1000:g} kB a second for {WINDOW:.0f} s", GO_ON)
            self.waited, self.n_bytes = 0.0, 0
        return count

    def close(self) -> None:
        """See `io.RawIOBase`."""
        self.stream.close()
        super().close()


class WatchedResponse(http.client.HTTPResponse):
    """An answer whose bytes come through a `Watch`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watch = Watch(self.fp.detach())
        self.fp: Any = io.BufferedReader(self.watch)

    def begin(self) -> None:
        """Read what comes before the body."""
        super().begin()
        self.watch.left = math.inf

    def _read_and_discard_trailer(self) -> None:
        self.watch.left = MAX_HEAD
        super()._read_and_discard_trailer()  # type: ignore[misc]


class Adapter(requests.adapters.HTTPAdapter):
    """Connections, also by a proxy, whose answers are watched."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """See `requests.adapters.HTTPAdapter`."""
        pool = super().get_connection_with_tls_context(*arguments, **options)
        if pool.ConnectionCls.response_class is not WatchedResponse:  # type: ignore[attr-defined]
            attributes = {"response_class": WatchedResponse}
            pool.ConnectionCls = type("Watched", (pool.ConnectionCls,), attributes)
        return pool


def session() -> requests.Session:
    """Return a session of watched connections that asks for no compression and never reads the body of a redirect."""

    def drop_body(answer: requests.Response, **_: Any) -> None:
        if answer.is_redirect:  # requests would read all of it, unpacked, into memory
            answer._content, answer._content_consumed = b"", True

    made = requests.sessions.Session()
    made.headers["Accept-Encoding"] = "identity"
    made.hooks["response"] = [drop_body]
    made.mount("http://", Adapter())
    made.mount("https://", Adapter())
    return made


@contextlib.contextmanager
def ask(url: str, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
    """Give the answer to a GET request, its body not yet read; what goes wrong with the network is a `Failure`.

    Redirects are followed, but not from https to http.
    """
    try:
        with session() as made, made.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            secure = all(one.url.startswith("https:") for one in (*answer.history, answer))
            if url.startswith("https:") and not secure:
                raise Failure("it redirects from https to http, which anyone could alter", "use another address")
            yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise explain(error, urlsplit(url).hostname or "") from None


def explain(error: Exception, host: str) -> Failure:
    """Say what a network error means. The libraries' own texts are not shown: they hold addresses with queries."""
    text = repr(error)
    network = "check the network, the proxy and the address, or run again later"
    if isinstance(error, exceptions.ProxyError | exceptions.InvalidProxyURL):
        return Failure("the proxy does not answer", "check the proxy that HTTPS_PROXY names")
    if isinstance(error, exceptions.SSLError):
        to_do = "check the computer's date, and the certificates that REQUESTS_CA_BUNDLE names"
        return Failure("no secure connection, or its certificate could not be verified", to_do)
    if isinstance(error, exceptions.TooManyRedirects):
        return Failure("it redirects without end", f"run again later, or {BY_HAND}")
    if isinstance(error, exceptions.ConnectTimeout):
        return Failure(f"no connection within {TIMEOUT[0]:.0f} s", network, again=True)
    if "NameResolutionError" in text:
        return Failure(f"no address is known for {host} (DNS)", "check the network and the name", again=True)
    if "NewConnectionError" in text:
        return Failure("no connection", network, again=True)
    if "timed out" in text or isinstance(error, exceptions.Timeout | urllib3.exceptions.ReadTimeoutError):
        return Failure(f"it stalled: nothing came for {TIMEOUT[1]:.0f} s", GO_ON, again=True)
    if "Content-Length" in text:
        return Failure("it states several lengths of one file", f"run again later, or {BY_HAND}")
    if isinstance(error, ValueError | urllib3.exceptions.LocationParseError):  # of addresses
        return Failure("it is, or redirects to, no web address", "correct the address in the settings")
    return Failure("the connection broke off", GO_ON, again=True)


def plain(url: str) -> str:
    """Return an address as it may be shown: without user name, password, query and fragment."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def file_name(url: str) -> str:
    """Return the name of the file at an address."""
    return printable(PurePosixPath(unquote(urlsplit(url).path)).name)


def body(answer: requests.Response, limit: int = MAX_BODY) -> bytes:
    """Return the body of an answer, unpacked; a `Failure` if it is longer than the limit."""
    content = bytearray()
    while len(content) <= limit and (chunk := answer.raw.read1(files.CHUNK, decode_content=False)):
        content += chunk
    encoding = encoding_of(answer)
    if encoding in ENCODINGS:
        try:
            content = bytearray(zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content, limit + 1))
        except zlib.error:
            raise Failure("its answer is damaged", "run again later", again=True) from None
    elif encoding != "identity":
        raise Failure(f"it answered with an encoding ({encoding})", "run again later")
    if len(content) > limit:
        raise Failure(f"its answer is longer than {limit >> 20} MB", "run again later, or use `kind: http`")
    return bytes(content)


def encoding_of(answer: requests.Response) -> str:
    """Return how an answer is packed, ``identity`` if it is not."""
    return printable(answer.headers.get("Content-Encoding", "").strip().lower()) or "identity"


def read(url: str, refused: tuple[str, str] | None = None) -> bytes:
    """Return the body of an answer, unpacked to at most 8 MiB.

    `refused` is what a refusal (status 400, 401 or 403) means, and what to do. `NotFoundAtSource` if the answer is that
    there is no such thing, `InputError` if there is none.
    """

    def attempt() -> bytes:
        with ask(url) as answer:
            check_status(answer, refused)
            return body(answer)

    try:
        return repeat(attempt)
    except Failure as failure:
        raise to_error([(url, failure)]) from None


def read_json(url: str) -> Any:
    """Return the JSON answer of a web service; errors are those of `read`, and `InputError` if it is not JSON."""
    try:
        return json.loads(read(url))
    except (ValueError, RecursionError):
        raise InputError(f"{plain(url)}: the answer is not the JSON it should be; run again later") from None


def to_error(failures: list[tuple[str, Failure]]) -> InputError:
    """Return the error for a file that none of its addresses gave: the last answer, then those before it."""
    (url, last), earlier = failures[-1], failures[:-1]
    before = "; ".join(f"{plain(other)}: {failure.what}" for other, failure in earlier)
    line = f"{plain(url)}: {last.what}; {last.to_do}" + (f" (before it, {before})" if before else "")
    absent = all(failure.absent for _, failure in failures)
    return NotFoundAtSource(line, last.what) if absent else InputError(line)


def check_status(answer: requests.Response, refused: tuple[str, str] | None = None) -> None:
    """Refuse an answer that is not a file or a part of it; `refused` as for `read`."""
    status = answer.status_code
    if status in (200, 206):
        return
    phrase = http.client.responses.get(status)
    what = f"it answered {status}" + (f" ({phrase})" if phrase else "")
    if status in TRANSIENT:
        seconds = None
        with contextlib.suppress(ValueError, OverflowError, urllib3.exceptions.InvalidHeader):  # of nonsense
            seconds = urllib3.Retry().get_retry_after(answer.raw)
        if seconds and seconds > MAX_WAIT:
            raise Failure(f"{what} and asks to wait {seconds:.0f} s", "run again then: it goes on where it stopped")
        raise Failure(what, f"{GO_ON}; if it stays so, add a mirror", again=True, seconds=seconds)
    if status in (404, 410):
        raise Failure(what, "there is no such thing; correct it in the settings", absent=True)
    if refused and status in (400, 401, 403):
        raise Failure(f"{what}: {refused[0]}", refused[1])
    if status in (202, 401, 402, 403, 407, 451):
        raise Failure(what, LOGIN)
    raise Failure(what, f"correct the address in the settings, or {BY_HAND}")


def length(answer: requests.Response) -> int | None:
    """Return the size in bytes of the whole file that an answer is of, perhaps in part; None if it is not said."""
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return number(whole if answer.status_code == 206 else answer.headers.get("Content-Length", ""))


def number(text: str) -> int | None:
    """Return the number of bytes that a header says; None if it says none that a file can have."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def check_page(answer: requests.Response, start: bytes, url: str) -> None:
    """Refuse a page for login, quota or consent, or GitHub's pointer to a large file, that comes with status 200."""
    start = start[:HEAD]
    if start.startswith(POINTER):
        to_do = "use the file's address under media.githubusercontent.com/media"
        raise Failure("it answered with a pointer of Git LFS, not the file", to_do)
    is_page = answer.headers.get("Content-Type", "").lower().startswith("text/html") or PAGE.match(start)
    if is_page and not file_name(url).lower().endswith((".html", ".htm")):
        title = TITLE.search(start)
        named = f" ({printable(' '.join(title[1].decode(errors='replace').split()))[:80]!r})" if title else ""
        raise Failure(f"it answered with a web page{named}, not the file", LOGIN)

"""Asking the web by requests: retries, redirects, and what an answer or a network error means, in one line.

urllib3's `Retry` repeats what failed before the first byte of an answer. Proxies and certificates are those that the
environment names.
"""

from __future__ import annotations

import contextlib
import http
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from genept.core.errors import InputError, NotFoundAtSource

TIMEOUT = (20.0, 60.0)  # seconds to connect, and without a byte
ATTEMPTS = 5  # in a row without a new byte
BACKOFF = 1.0  # seconds before the second attempt, doubled for each further one
MAX_WAIT = 300.0  # seconds; a server that asks to wait longer is asked again in the next run
MAX_JSON = 16 << 20

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
EXPIRED = (400, 401, 403)  # what storage answers to a signature that is too old
PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)
POINTER = b"version https://git-lfs.github.com/spec/v1\n"

BY_HAND = "get it in a browser and use `kind: local`"
GO_ON = "run again: it goes on where it stopped"
wait = time.sleep


@dataclass(frozen=True)
class Signed:
    """What is known of an address with a signature, which is good for some minutes and another one in every run.

    Attributes
    ----------
    name
        What the file is called in every run.
    expired, to_do
        Why the address may be refused, and what to do then.
    """

    name: str
    expired: str
    to_do: str


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes
    ----------
    urls
        Its address, then mirrors.
    stated
        A hash that the service states: the algorithm (``md5``) and hexadecimal digits.
    signed
        If its address is another one in every run.
    headers
        Further request headers, such as a token; requests does not send it to another host by a redirect.
    """

    urls: tuple[str, ...]
    stated: tuple[str, str] | None = None
    signed: Signed | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Failure(Exception):
    """An address did not give the file.

    Attributes
    ----------
    what, to_do
        What happened, and what to do about it.
    again
        Whether to ask again at once.
    absent
        Whether there is no such thing at that address.
    """

    def __init__(self, what: str, to_do: str, *, again: bool = False, absent: bool = False) -> None:
        super().__init__(what)
        self.what, self.to_do, self.again, self.absent = what, to_do, again, absent


class Retry(urllib3.Retry):
    """urllib3's, but a server that asks to wait for long is not waited for."""

    def increment(  # type: ignore[override]
        self, method: str, url: str, response: urllib3.BaseHTTPResponse | None = None, **options: Any
    ) -> urllib3.Retry:
        """Count an attempt; after too many, or a ``Retry-After`` beyond `MAX_WAIT`, raise `MaxRetryError`."""
        if response is not None and (self.get_retry_after(response) or 0) > MAX_WAIT:
            raise urllib3.exceptions.MaxRetryError(options["_pool"], url)
        return super().increment(method, url, response, **options)

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Wait before the next attempt."""
        after = None if response is None else self.get_retry_after(response)
        wait(self.get_backoff_time() if after is None else after)


def open_session() -> requests.Session:
    """Return a session that repeats what failed before an answer; proxies and certificates are the environment's."""
    retry = Retry(
        ATTEMPTS - 1, other=0, redirect=None, status_forcelist=TRANSIENT, backoff_factor=BACKOFF, raise_on_status=False
    )
    session = requests.Session()
    session.max_redirects = 10
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


@contextlib.contextmanager
def ask(url: str, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
    """Give the answer to a GET request, its body not yet read; what goes wrong with the network is a `Failure`.

    Redirects are followed, but not from https to http.
    """
    try:
        with open_session() as session:
            headers = {"Accept-Encoding": "identity", **(headers or {})}
            answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
            with answer:
                addresses = [one.url for one in (*answer.history, answer)]
                if any(
                    now.startswith("https:") > later.startswith("https:")
                    for now, later in itertools.pairwise(addresses)
                ):
                    raise Failure("it redirects from https to http, which anyone could alter", "use another address")
                yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        raise explain(error, urlsplit(url).hostname or "") from None


def explain(error: Exception, host: str) -> Failure:
    """Say what a network error means. The libraries' own texts are not shown: they hold addresses with queries."""
    exceptions, text = requests.exceptions, repr(error)
    if isinstance(error, exceptions.ProxyError | exceptions.InvalidProxyURL):
        return Failure("the proxy does not answer", "check the proxy that HTTPS_PROXY names")
    if isinstance(error, exceptions.SSLError):
        to_do = "check the computer's date, and the certificates that REQUESTS_CA_BUNDLE names"
        return Failure("no secure connection, or its certificate could not be verified", to_do)
    if isinstance(error, exceptions.TooManyRedirects):
        return Failure("it redirects without end", f"run again later, or {BY_HAND}")
    if isinstance(error, exceptions.ConnectTimeout):
        return Failure(f"no connection within {TIMEOUT[0]:.0f} s", "check the network or run again later")
    if "NameResolutionError" in text:
        return Failure(f"no address is known for {host} (DNS)", "check the network and the name")
    if "NewConnectionError" in text:
        return Failure("no connection", "check the network, the proxy and the address, or run again later")
    if "timed out" in text or isinstance(error, exceptions.Timeout | urllib3.exceptions.ReadTimeoutError):
        return Failure(f"it stalled: nothing came for {TIMEOUT[1]:.0f} s", GO_ON, again=True)
    if isinstance(error, ValueError | urllib3.exceptions.LocationParseError):  # of addresses
        return Failure("it is, or redirects to, no web address", "correct the address in the settings")
    return Failure("the connection broke off", GO_ON, again=True)


def plain(url: str) -> str:
    """Return an address as it may be shown: without user name, password, query and fragment."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def printable(text: str) -> str:
    """Return at most 300 printable characters of a text, on one line."""
    return "".join(character if character.isprintable() else "?" for character in text)[:300]


def file_name(url: str) -> str:
    """Return the name of the file at an address."""
    return printable(PurePosixPath(unquote(urlsplit(url).path)).name)


def read_json(url: str) -> Any:
    """Ask a web service and return its JSON answer, of at most 16 MiB.

    Raises
    ------
    NotFoundAtSource
        If it answers that there is no such thing.
    InputError
        If it does not answer, or not with JSON.
    """
    try:
        with ask(url) as answer:
            check_status(answer)
            body = read_body(answer)
        return json.loads(body)
    except Failure as failure:
        raise to_error([(url, failure)]) from None
    except (ValueError, RecursionError):
        raise InputError(f"{plain(url)}: the answer is not the JSON it should be; run again later") from None


def read_body(answer: requests.Response) -> bytes:
    """Return the body of an answer, nothing of one that is longer than 16 MiB, unpacked."""
    body: bytes = answer.raw.read(MAX_JSON + 1, decode_content=True)
    return body if len(body) <= MAX_JSON else b""


def to_error(failures: list[tuple[str, Failure]]) -> InputError:
    """Return the error for a file that none of its addresses gave: the last answer, then those before it."""
    (url, last), earlier = failures[-1], failures[:-1]
    before = "; ".join(f"{plain(other)}: {failure.what}" for other, failure in earlier)
    line = f"{plain(url)}: {last.what}; {last.to_do}" + (f" (before it, {before})" if before else "")
    absent = all(failure.absent for _, failure in failures)
    return NotFoundAtSource(line, last.what) if absent else InputError(line)


def check_status(answer: requests.Response, signed: Signed | None = None) -> None:
    """Refuse an answer that is not a file or a part of it."""
    status = answer.status_code
    if status in (200, 206):
        return
    phrases = {item.value: f" ({item.phrase})" for item in http.HTTPStatus}
    what = f"it answered {status}{phrases.get(status, '')}"
    if status in TRANSIENT:
        seconds = Retry().get_retry_after(answer.raw)
        if seconds and seconds > MAX_WAIT:
            raise Failure(f"{what} and asks to wait {seconds:.0f} s", "run again then: it goes on where it stopped")
        raise Failure(what, f"{GO_ON}; if it stays so, add a mirror")
    if status in (404, 410):
        raise Failure(what, "there is no such thing; correct it in the settings", absent=True)
    if signed and status in EXPIRED:
        raise Failure(f"{what}: {signed.expired}", signed.to_do)
    if status in (202, 401, 402, 403, 407, 451):
        raise Failure(what, f"it may want a login or a browser; {BY_HAND}")
    raise Failure(what, f"correct the address in the settings, or {BY_HAND}")


def check_page(answer: requests.Response, start: bytes, url: str) -> None:
    """Refuse a web page where a file was expected: pages for login, quota or consent come with status 200.

    So do GitHub's pointers in place of large files.
    """
    if start.startswith(POINTER):
        what = "it answered with a pointer of Git LFS, not the file"
        raise Failure(what, "use the file's address under media.githubusercontent.com/media")
    content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if file_name(url).lower().endswith((".html", ".htm")) or not (content_type == "text/html" or PAGE.match(start)):
        return
    title = TITLE.search(start)
    named = f" ({printable(' '.join(title[1].decode(errors='replace').split()))[:80]!r})" if title else ""
    raise Failure(f"it answered with a web page{named}, not the file", f"it may want a login or a browser; {BY_HAND}")

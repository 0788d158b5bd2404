"""Checking an answer of a web server before it is taken for a file: its status, its encoding, how it begins."""

from __future__ import annotations

import datetime
import email.utils
import http
import re
import time
from pathlib import PurePosixPath

import requests

from genept.downloads.address import Signed, file_name, plain_text
from genept.downloads.retry import BY_HAND, GO_ON, Failure

MAX_WAIT = 300.0  # seconds; who asks to wait longer is asked again in the next run

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
EXPIRED = (400, 401, 403)  # what storage says of a signature that is too old; Google's says 400
EPOCH = 1e9  # seconds; nobody is asked to wait so long
POINTER = b"version https://git-lfs.github.com/spec/v1\n"
PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)


def check_status(answer: requests.Response, signed: Signed | None = None) -> None:
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
        if wait is None and status == 429:
            wait = reset_after(answer.headers.get("X-RateLimit-Reset"))
        if wait is not None and wait > MAX_WAIT:
            raise Failure(f"{what} and asks to wait {wait:.0f} s", "run again then: it goes on where it stopped")
        raise Failure(what, f"{GO_ON}; if it stays so, add a mirror", again=True, wait=wait)
    if status in (404, 410):
        raise Failure(what, "there is no such thing; correct its entry in params.yaml", absent=True)
    if signed and status in EXPIRED:
        raise Failure(f"{what}: {signed.expired}", signed.to_do)
    if status in (401, 402, 403, 407, 451):
        raise Failure(what, f"it may want a login or a browser; {BY_HAND}")
    if status == 202:
        challenge = ", a test that only browsers pass" if "x-amzn-waf-action" in answer.headers else ""
        raise Failure(f"{what}{challenge}", f"it may want to see a browser first; {BY_HAND}, or run again later")
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


def reset_after(value: str | None) -> float | None:
    """Return the seconds until ``X-RateLimit-Reset``: a time of the epoch, or, with some services, seconds from now.

    A second is added, because the times are cut to whole ones.
    """
    if value is None or not (value.strip().isascii() and value.strip().isdigit()):
        return None
    seconds = float(value)
    return max(0.0, seconds - time.time() if seconds > EPOCH else seconds) + 1


def check_page(answer: requests.Response, start: bytes, url: str) -> None:
    """Refuse a web page where a file was expected: pages for login, quota or consent come with status 200.

    So do GitHub's pointers in place of large files.
    """
    if start.startswith(POINTER):
        what = "it answered with a pointer of Git LFS, not the file"
        raise Failure(what, "use the file's address under media.githubusercontent.com/media")
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

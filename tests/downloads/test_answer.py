"""What a server answers in place of a file: one clear line each, and what came before is kept."""

from __future__ import annotations

import datetime
import email.utils
import gzip
import socket
import zlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from genept.downloads import answer as _answer
from genept.downloads import retry as _retry
from genept.downloads import web as _web
from tests.downloads.downloading import DATE, FILE, SHA256, TARGET, fetched, interrupt, refused, to_file
from tests.downloads.server import Server


def test_a_length_that_is_a_lie_is_half_a_file(web: Server) -> None:
    refused(web.put("/file.bin", FILE, announced=len(FILE) + 1), "the connection")
    assert len(web.asked) > 1


def test_an_end_that_could_be_anywhere_needs_a_hash(web: Server) -> None:
    url = web.put("/file.bin", FILE, framing="close")
    refused(url, "it does not say how long the file is, so half of it could pass for all; add its sha256")
    fetched(url, sha256=SHA256)


def test_an_empty_answer_is_no_file(web: Server) -> None:
    refused(web.put("/file.bin", b""), "the answer is empty")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(web: Server, status: int) -> None:
    fetched(web.put("/file.bin", FILE, statuses=[status, status]))
    assert len(web.asked) == 3


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "it answered 401 (Unauthorized); it may want a login or a browser; get it in a browser and use `kind: l"),
        (403, "it answered 403 (Forbidden); it may want a login"),
        (404, "it answered 404 (Not Found); there is no such thing; correct its entry in params.yaml"),
        (202, "it answered 202 (Accepted); it may want to see a browser first"),
        (204, "it answered 204 (No Content); correct its entry"),
        (400, "it answered 400 (Bad Request); correct its entry"),
        (799, "it answered 799; correct"),
    ],
)
def test_a_refusal_is_not_repeated(web: Server, status: int, text: str) -> None:
    refused(web.put("/file.bin", status=status), text)
    assert len(web.asked) == 1


def test_a_server_that_stays_in_trouble_is_given_up_and_what_came_is_kept(
    web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    web.resources["/file.bin"].status = 503
    refused(url, "it answered 503 (Service Unavailable); run again: it goes on where it stopped")
    assert len(web.asked) == _retry.ATTEMPTS
    web.resources["/file.bin"].status, web.served = 200, 0
    fetched(url)
    assert web.served == 100_000


def test_back_off_doubles_and_retry_after_goes_first(web: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = web.put("/file.bin", FILE, statuses=[500, 500, 500])
    with mock.patch.object(_retry, "time") as time, mock.patch.object(_retry, "BACKOFF", 2.0):
        to_file([url], TARGET)
        web.put("/file.bin", FILE, statuses=[429, 503], headers={"Retry-After": "7"})
        to_file([url], TARGET)
    assert [call.args[0] for call in time.sleep.call_args_list] == [2.0, 4.0, 8.0, 7.0, 7.0]
    assert "it answered 429 (Too Many Requests); trying again in 7 s" in capsys.readouterr().err


def test_who_asks_to_wait_long_is_asked_in_the_next_run(web: Server) -> None:
    refused(
        web.put("/file.bin", status=429, headers={"Retry-After": "3600"}), "and asks to wait 3600 s; run again then"
    )
    assert len(web.asked) == 1


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    assert _answer.retry_after(email.utils.format_datetime(soon, usegmt=True)) == pytest.approx(60, abs=3)
    assert _answer.retry_after(DATE.replace("2026", "2006")) == 0
    assert _answer.retry_after("12") == 12
    assert _answer.retry_after("soon") is None
    assert _answer.retry_after(None) is None


def test_a_limit_of_requests_may_name_the_time_of_its_end(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Zenodo's does; ``Retry-After`` goes first, and other failures are no matter of the limit."""
    monkeypatch.setattr(_answer.time, "time", lambda: 1_800_000_000.5)
    reset = {"X-RateLimit-Reset": "1800000007"}
    with mock.patch.object(_retry, "time") as time:
        for status, headers in [(429, reset), (429, {**reset, "Retry-After": "3"}), (503, reset)]:
            to_file([web.put("/file.bin", FILE, statuses=[status], headers=headers)], TARGET)
    assert [call.args[0] for call in time.sleep.call_args_list] == [7.5, 3.0, _retry.BACKOFF]
    assert [_answer.reset_after(value) for value in (None, "soon", "30", "1799999999")] == [None, None, 31, 1]


def test_a_test_for_browsers_is_no_empty_file(web: Server) -> None:
    """What figshare.com answers to clients that it does not know."""
    headers = {"x-amzn-waf-action": "challenge"}
    url = web.put("/ndownloader/files/1", status=202, headers=headers)
    refused(
        url, "it answered 202 (Accepted), a test that only browsers pass; it may want to see a browser first; get it"
    )


def test_a_pointer_in_place_of_a_large_file_is_said(web: Server) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    refused(web.put("/main/raw.h5ad", pointer), "it answered with a pointer of Git LFS, not the file; use the file's")


def no_way(error: OSError) -> Callable[..., Any]:
    def connect(*_: Any, **__: Any) -> Any:
        raise error

    return connect


@pytest.mark.parametrize(
    ("how", "text"),
    [
        *(({"status": status}, f"it answered {status} (") for status in (401, 403, 404, 410, 429, 500, 502, 503)),
        ({"status": 202}, "it answered 202 (Accepted)"),
        ({"status": 429, "headers": {"Retry-After": "999"}}, "and asks to wait 999 s"),
        ({"content": b"<html><title>Sign in</title>", "ranges": False}, "a web page ('Sign in')"),
        ({"content": b"", "ranges": False}, "the answer is empty"),
        ({"status": 302, "headers": {"Location": "/file.bin"}}, "it redirects in a circle"),
        ({"error": socket.gaierror(-2, "Name or service not known")}, "no address is known for 127.0.0.1 (DNS)"),
        ({"error": ConnectionRefusedError(111, "Connection refused")}, "no connection; check the network"),
        ({"error": OSError(101, "Network is unreachable")}, "no connection; check the network"),
        ({"error": TimeoutError()}, "no connection within 5 s"),
        ({"content": FILE, "stall_after": 0}, "it stalled"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_goes_wrong_what_came_stays_and_the_next_run_goes_on(
    web: Server, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], text: str
) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    with monkeypatch.context() as once:
        once.setattr(_retry, "ATTEMPTS", 2)
        once.setattr(_web, "READ_TIMEOUT", 0.1)
        if "error" in how:
            once.setattr("urllib3.util.connection.create_connection", no_way(how["error"]))
        else:
            web.put("/file.bin", **how)
        refused(url, text)
    web.put("/file.bin", FILE)
    web.served = 0
    fetched(url)
    assert web.served == 100_000


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\n to \x1b[31myour account</title></head>" + b"<body>x</body>" * 300


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PAGE, "text/html; charset=utf-8"),
        (PAGE, "application/octet-stream"),
        (b"\n <!-- quota --> " + PAGE, "application/octet-stream"),
        (b"\xef\xbb\xbf<HTML>" + PAGE, ""),
        (b"please log in", "text/html"),
    ],
)
def test_a_web_page_is_no_file(web: Server, content: bytes, kind: str) -> None:
    line = refused(web.put("/file.bin", content, headers={"Content-Type": kind}), "it answered with a web page")
    assert "not the file; it may want a login or a browser; get it in a browser and use `kind: local`" in line
    assert ("('Sign in to ?[31myour account')" in line) == (content != b"please log in")
    assert len(web.asked) == 1


def test_a_web_page_may_be_what_is_wanted(web: Server) -> None:
    fetched(web.put("/table.html", PAGE, headers={"Content-Type": "text/html"}), PAGE)


def test_a_web_page_does_not_take_the_place_of_what_came_before(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    web.put("/file.bin", PAGE, ranges=False)
    refused(url, "it answered with a web page")
    web.put("/file.bin", FILE)
    web.served = 0
    fetched(url)
    assert web.served == 100_000


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_an_encoded_answer_is_decoded(web: Server, encoding: str, encode: Any) -> None:
    fetched(web.put("/file.bin", encode(FILE), headers={"Content-Encoding": encoding}))
    assert web.asked[0][1]["Accept-Encoding"] == "identity"


def test_an_encoded_answer_that_breaks_off_comes_anew(web: Server) -> None:
    url = web.put("/file.bin", gzip.compress(FILE), headers={"Content-Encoding": "gzip"}, reset_after=[100_000])
    fetched(url, sha256=SHA256)


def test_a_gz_file_is_not_unpacked_by_a_server_that_calls_it_an_encoding(web: Server) -> None:
    content = gzip.compress(FILE)
    fetched(web.put("/file.txt.gz", content, headers={"Content-Encoding": "x-gzip"}), content)


def test_an_unknown_encoding_is_said(web: Server) -> None:
    refused(web.put("/file.bin", FILE, headers={"Content-Encoding": "br"}), "an unknown encoding (br)")

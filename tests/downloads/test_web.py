"""What a server answers in place of a file, and ways to it: one clear line each; secrets are not shown."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import re
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads import transfer
from genept.downloads import web as _web
from genept.downloads.place import check_address
from genept.downloads.store import Remote
from genept.downloads.web import read_json
from tests.downloads.downloading import FILE, fetched, interrupt, refused
from tests.downloads.fetching import one_attempt, sha256
from tests.downloads.loopback import Answer, Web


def test_an_end_that_could_be_anywhere_needs_a_hash(web: Web) -> None:
    url = web.put("/file.bin", FILE, framing="close")
    refused(url, text="it does not say how long the file is, so half of it could pass for all; add its sha256")
    fetched(url, digest=sha256(FILE))


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\n to \x1b[31myour account</title></head>" + b"<body>x</body>" * 300
ENCODED = {"content": FILE, "headers": {"Content-Encoding": "br"}}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def no_way(error: OSError) -> Callable[..., Any]:
    def connect(*_: Any, **__: Any) -> Any:
        raise error

    return connect


@pytest.mark.parametrize(
    ("how", "text", "n_requests"),
    [
        ({"status": 401}, "it answered 401 (Unauthorized); it may want a login or a browser; get it in a browser", 1),
        ({"status": 404}, "it answered 404 (Not Found); there is no such thing; correct it in the settings", 1),
        ({"status": 202}, "it answered 202 (Accepted); it may want a login or a browser", 1),
        ({"status": 204}, "it answered 204 (No Content); correct the address", 1),
        ({"status": 799}, "it answered 799; correct", 1),
        ({"status": 503}, "it answered 503 (Service Unavailable); run again: it goes on where it stopped", 5),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, "and asks to wait 3600 s; run again then", 1),
        ({"content": b""}, "the answer is empty", 1),
        ({"content": PAGE}, "it answered with a web page ('Sign in to \\\\x1b[31myour account'), not the file", 1),
        ({"content": b"\xef\xbb\xbf <!-- quota --> <HTML>"}, "it answered with a web page, not the file", 1),
        ({"content": b"log in", "headers": {"Content-Type": "text/html; charset=utf-8"}}, "with a web page", 1),
        ({"content": POINTER}, "it answered with a pointer of Git LFS, not the file; use the file's address under", 1),
        (ENCODED, "it answered with an encoding (br)", 1),
        ({"content": FILE, "headers": {"Content-Length": "9" * 5000}}, "it does not say how long the file is", 1),
        ({"status": 429, "headers": {"Retry-After": "9" * 5000}}, "it answered 429 (Too Many Requests)", 5),
        ({"status": 302, "headers": {"Location": "/file.bin"}}, "it redirects without end", 31),
        ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, "it is, or redirects to, no web address", 1),
        ({"status": 302, "headers": {"Location": "http://[/a"}}, "it is, or redirects to, no web address", 1),
        ({"status": 302, "headers": {"Location": "http://[::1"}}, "it is, or redirects to, no web address", 1),
        ({"content": FILE, "headers": {"Content-Length": "5, 6"}}, "it states several lengths of one file; run", 1),
        ({"error": socket.gaierror(-2, "Name or service not known")}, "no address is known for 127.0.0.1 (DNS)", 0),
        ({"error": ConnectionRefusedError(111, "Connection refused")}, "no connection; check the network", 0),
        ({"error": TimeoutError()}, "no connection within 20 s", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_goes_wrong_is_one_line_and_what_came_stays(
    web: Web, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], text: str, n_requests: int
) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000)
    with monkeypatch.context() as once:
        if "error" in how:
            once.setattr("urllib3.util.connection.create_connection", no_way(how["error"]))
        else:
            web.put("/file.bin", **{"ranges": False, **how})
        line = refused(url, text=text)
        assert line.startswith(f"{web.url}/file.bin: ")
    assert len(web.server.requests) == n_requests
    web.put("/file.bin", FILE)
    web.forget()
    fetched(url)
    assert web.server.n_bytes == 100_000


def test_back_off_doubles_and_retry_after_goes_first(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(_web, "wait", waits.append)
    fetched(web.put("/file.bin", FILE, statuses=[500, 408, 504], cuts=[100_000, 0]))
    fetched(web.put("/file.bin", FILE, statuses=[429, 503], headers={"Retry-After": "7"}))
    assert waits == [1, 2, 4, 1, 2, 7, 7]


def test_a_page_or_a_gz_file_may_be_what_is_wanted(web: Web) -> None:
    fetched(web.put("/table.html", PAGE, headers={"Content-Type": "text/html"}), expected=PAGE)
    packed = gzip.compress(FILE)
    fetched(web.put("/file.txt.gz", packed, headers={"Content-Encoding": "x-gzip"}), expected=packed)  # as some say


def test_redirects_are_followed_from_the_first_address_each_time(web: Web) -> None:
    """Addresses that services redirect to hold for seconds only."""
    web.put("/signed", FILE, cuts=[100_000])
    fetched(web.put("/file.bin", status=302, headers={"Location": "/signed?signature=secret"}))
    assert [request.path for request in web.server.requests] == ["/file.bin", "/signed"] * 2


def test_a_redirect_from_https_to_http_is_refused(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: requests.Session, url: str, **__: Any) -> requests.Response:
        first, last = requests.Response(), requests.Response()
        first.url, last.url, last.history = url, "http://b.invalid/f?signature=secret", [first]
        last.raw = urllib3.HTTPResponse()
        return last

    monkeypatch.setattr(requests.Session, "get", get)
    assert "secret" not in refused(
        "https://a.invalid/f", text="it redirects from https to http, which anyone could alter"
    )


def test_an_address_that_cannot_be_reached_is_said(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("a" * 70 + ".invalid", "a..invalid", "*.invalid", "\u00ad.invalid"):
        refused(f"http://{host}/file.bin", text="file.bin: ")
    url = web.put("/file.bin", FILE)
    refused(url.replace("http:", "https:"), text="no secure connection")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    refused(url, text="the proxy does not answer; check the proxy")


def test_no_line_and_no_file_shows_a_secret(web: Web) -> None:
    url = web.put("/file.bin", status=403).replace("http://", "http://me:secret@") + "?token=secret#secret"
    assert "secret" not in refused(url, text=f"{web.url}/file.bin: it answered 403")


def test_a_stalled_transfer_times_out_and_goes_on_in_the_next_run(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE, cuts=[100_000], hold=threading.Event())
    with monkeypatch.context() as once, one_attempt():
        once.setattr(_web, "TIMEOUT", (20.0, 5.0))  # long enough for all that the server sends
        refused(url, text="it stalled: nothing came for 5 s; run again: it goes on where it stopped")
    web.resources["/file.bin"].hold.set()  # type: ignore[union-attr]
    web.resources["/file.bin"].hold = None
    web.forget()
    fetched(url)
    assert web.ranges == ["bytes=100000-"]


def test_json_is_read_and_what_is_none_or_too_long_is_said(web: Web) -> None:
    assert read_json(web.put("/api", b'{"a": [1]}', statuses=[500])) == {"a": [1]}
    with pytest.raises(NotFoundAtSource, match="/none: it answered 404"):
        read_json(f"{web.url}/none")
    for content in (b"<html>", b"", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000):
        with pytest.raises(InputError, match=r"/api: the answer is not the JSON it should be; run again later"):
            read_json(web.put("/api", content) + "?token=secret")


BOMB = gzip.compress(b" " * (64 << 20))


@pytest.mark.parametrize(
    ("content", "encoding", "text"),
    [
        (gzip.compress(b"[1]"), "gzip", None),
        (zlib.compress(b"[1]"), "deflate", None),
        (BOMB, "gzip", "its answer is longer than 8 MB"),
        (b" " * (17 << 20), "", "its answer is longer than 8 MB"),
        (gzip.compress(BOMB), "gzip, gzip", "it answered with an encoding (gzip, gzip)"),
        (b"[1]", "gzip", "its answer is damaged"),
    ],
    ids=["gzip", "deflate", "bomb", "long", "bomb in a bomb", "damaged"],
)
def test_what_an_answer_unpacks_to_is_bounded(web: Web, content: bytes, encoding: str, text: str | None) -> None:
    url = web.put("/api", content, headers={"Content-Encoding": encoding})
    if text is None:
        assert read_json(url) == [1]
        return
    tracemalloc.start()
    with pytest.raises(InputError, match=re.escape(text)):
        read_json(url)
    assert tracemalloc.get_traced_memory()[1] < 80 << 20
    tracemalloc.stop()


def test_the_body_of_a_redirect_is_not_read(web: Web) -> None:
    held, url = threading.Event(), web.put("/file.bin", FILE)
    answer = Answer(302, b"x" * 10, {"Location": url}, cut=5, hold=held)
    web.special = lambda request: answer if request.path == "/moved" else None
    fetched(f"{web.url}/moved")
    held.set()


def test_comments_before_a_page_take_no_time(web: Web) -> None:
    content = b"<!---->" * 10_000 + b"<title>" * 100_000
    fetched(web.put("/file.bin", content), expected=content)


def test_a_server_that_is_slow_for_ever_is_given_up_and_the_next_run_goes_on(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 100_000)
    text = "it sent less than 1000 kB a second for 300 s; run again: it goes on where it stopped"
    with monkeypatch.context() as once:
        once.setattr(_web, "clock", itertools.count(0, 100).__next__)  # each wait for bytes takes 100 s
        once.setattr(_web, "LEAST_RATE", 10**6)
        stream = _web.Watch(io.BytesIO(b"abc"))
        assert [stream.read(1), stream.read(1)] == [b"a", b"b"]
        with pytest.raises(_web.Failure, match="it sent less than"):
            stream.read(1)
        once.setattr(_web, "clock", itertools.count(0, 300).__next__)
        refused(url, text=text)
        with _web.briefly(), pytest.raises(InputError, match="for 10 s"):
            transfer.size(Remote((url,)))
    assert web.ranges == ["bytes=100000-", "bytes=0-0"]  # it is not asked again and again
    web.forget()
    fetched(url)
    assert web.ranges == ["bytes=100000-"]


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    ],
    ids=["before the body", "after it"],
)
def test_headers_without_end_are_bounded(start: bytes, more: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with contextlib.suppress(ConnectionError):
                connection.sendall(start)
                while True:
                    connection.sendall(more * 1000)

        threading.Thread(target=serve, daemon=True).start()
        refused(f"http://127.0.0.1:{server.getsockname()[1]}/f", text="it sent more than 1 MB of headers")


def test_a_login_comes_from_netrc(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetched(web.put("/file.bin", FILE))
    assert web.server.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


@settings(max_examples=50)
@given(st.text("htps:/[]@.?#%0aA\n\t\x00\u200eé \\"))
def test_any_text_is_an_address_or_not_and_can_be_shown(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert (_web.plain(check_address(text)) + _web.file_name(text)).isprintable()

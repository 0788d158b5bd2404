"""Ways to a server: redirects, secrets, silence, and no way at all."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError, ParamsError
from genept.downloads import address as _address
from genept.downloads import partial as _partial
from genept.downloads import retry as _retry
from genept.downloads import web as _web
from genept.downloads.address import plain
from genept.downloads.retry import Failure
from genept.downloads.web import read_json
from tests.downloads.downloading import FILE, TARGET, fetched, refused, to_file
from tests.downloads.server import Server


def test_redirects_are_followed(web: Server) -> None:
    web.put("/file.bin", FILE)
    web.put("/b", status=302, headers={"Location": "file.bin?signature=secret"})
    fetched(web.put("/a", status=301, headers={"Location": f"{web.url}/b"}))


def test_each_attempt_starts_at_the_first_address(web: Server) -> None:
    """Addresses that services redirect to hold for seconds only."""
    web.put("/signed", FILE, reset_after=[100_000])
    fetched(web.put("/file.bin", status=302, headers={"Location": "/signed"}))
    assert [path for path, _ in web.asked] == ["/file.bin", "/signed"] * 2


def test_redirects_in_a_circle_are_said(web: Server) -> None:
    web.put("/b", status=302, headers={"Location": "/a"})
    refused(web.put("/a", status=302, headers={"Location": "/b"}), f"{web.url}/a: it redirects in a circle")


def test_redirects_without_end_are_said(web: Server) -> None:
    for number in range(20):
        web.put(f"/{number}", status=302, headers={"Location": f"/{number + 1}"})
    refused(f"{web.url}/0", "it redirects more than 10 times")
    assert len(web.asked) == 11


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/file", "file:///etc/passwd", "http://[", "http://a:99999/"])
def test_redirects_to_elsewhere_than_the_web_are_refused(web: Server, location: str) -> None:
    refused(web.put("/a", status=302, headers={"Location": location}), "it redirects to what is no web address")


def test_a_redirect_from_https_to_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: Any, url: str, **__: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.url, answer.raw = 302, url, urllib3.HTTPResponse()
        answer.headers["Location"] = "http://b.invalid/f?signature=secret"
        return answer

    monkeypatch.setattr(requests.Session, "get", get)
    line = refused("https://a.invalid/f", "https://a.invalid/f: it redirects from https to http (http://b.invalid/f)")
    assert "secret" not in line


def test_secret_headers_go_to_the_first_host_only(web: Server) -> None:
    other = Server()
    try:
        target = other.put("/file.bin", FILE)
        url = web.put("/a", status=302, headers={"Location": target})
        fetched(url, headers={"Authorization": "Bearer secret", "X-Token": "secret"})
        assert web.asked[0][1]["Authorization"] == "Bearer secret"
        assert "secret" not in str(other.asked)
    finally:
        other.stop()


def test_no_line_shows_a_secret(web: Server) -> None:
    url = web.put("/file.bin", status=403).replace("http://", "http://me:secret@") + "?token=secret#secret"
    line = refused(url, f"{web.url}/file.bin: it answered 403", headers={"Authorization": "Bearer secret"})
    assert "secret" not in line
    assert "secret" not in "".join(path.name for path in _partial.STORE.iterdir())


@pytest.mark.parametrize("stall_after", [0, 100_000])
def test_a_stalled_transfer_times_out_and_is_kept(
    web: Server, stall_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_web, "READ_TIMEOUT", 0.1)
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    url = web.put("/file.bin", FILE, stall_after=stall_after)
    refused(url, "it stalled: nothing came for 0 s; run again: it goes on where it stopped")
    web.resources["/file.bin"].stall_after = None
    web.served = 0
    fetched(url)
    assert web.served <= len(FILE) - stall_after


def test_a_host_without_an_address_is_said() -> None:
    refused("https://nowhere.invalid/file.bin", "no address is known for nowhere.invalid (DNS); check the network")


@pytest.mark.parametrize(
    "host", ["a" * 70 + ".invalid", "a..invalid", "*.invalid", "\u00ad.invalid", "\u0100@a.invalid"]
)
def test_a_host_that_cannot_be_is_said(host: str) -> None:
    refused(f"http://{host}/file.bin", "file.bin: ")


def test_a_server_that_is_not_there_is_said(web: Server) -> None:
    web.stop()
    refused(f"{web.url}/file.bin", "no connection; check the network, the proxy and the address")


def test_a_proxy_that_is_not_there_is_said(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    refused(url, "the proxy does not answer; check the proxy")


def test_https_without_tls_is_said(web: Server) -> None:
    refused(web.put("/file.bin", FILE).replace("http:", "https:"), "no secure connection")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.invalid/f",
        "a.invalid/f",
        "",
        "http://",
        "http://[",
        "http://a:x/",
        "http://a\n:b",
    ],
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(ParamsError, match="is no http or https address of a file") as caught:
        to_file([url], TARGET)
    assert "\n" not in caught.value.message


def test_json_is_read(web: Server) -> None:
    assert read_json(web.put("/api", b'{"a": [1]}', statuses=[500])) == {"a": [1]}


@pytest.mark.parametrize("content", [b"<html>", b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_said(web: Server, content: bytes) -> None:
    with pytest.raises(InputError, match=r"/api: the answer is not the JSON it should be; run again later"):
        read_json(web.put("/api", content) + "?token=secret")


def test_a_long_json_answer_is_not_read_to_its_end(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_web, "MAX_JSON", 10)
    with pytest.raises(InputError, match="not the JSON"):
        read_json(web.put("/api", b'"' + b"a" * 100_000 + b'"'))


@given(st.text())
def test_any_text_is_an_address_or_said_to_be_none(text: str) -> None:
    try:
        _address.check_address(text)
    except ParamsError as error:
        assert error.message.isprintable()
    else:
        assert plain(text).isprintable()
        assert _address.file_name(text).isprintable() or not _address.file_name(text)


@given(st.text(), st.text())
def test_any_redirect_is_followed_or_refused(url: str, location: str) -> None:
    try:
        assert _address.is_address(_web.target_of("https://a.invalid/" + url, location))
    except Failure as failure:
        assert "no web address" in failure.what

"""Downloads: the whole file or one clear line, and no byte twice."""

from __future__ import annotations

import datetime
import email.utils
import errno
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import InputError, ParamsError
from stages.fetch import _download
from stages.fetch._download import Failure, downloaded, plain, read_json, to_file
from tests import helpers
from tests.fetch.server import Resource, Server

FILE = os.urandom(300_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
OTHER = os.urandom(300_000)
TARGET = Path("folder/file.bin")
DATE, LATER = "Sat, 01 Aug 2026 10:00:00 GMT", "Sun, 02 Aug 2026 10:00:00 GMT"


def refused(url: str | list[str], text: str, **options: Any) -> str:
    """Assert one clear line and nothing at the target, and return the line."""
    with pytest.raises(InputError) as caught:
        to_file([url] if isinstance(url, str) else url, TARGET, **options)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    assert not TARGET.exists()
    assert not list(Path().rglob(".writing-*"))
    return line


def fetched(url: str | list[str], expected: bytes = FILE, **options: Any) -> None:
    """Assert that the file comes, and that nothing but locks stays in the store."""
    to_file([url] if isinstance(url, str) else url, TARGET, **options)
    assert TARGET.read_bytes() == expected
    assert [path.name for path in TARGET.parent.iterdir()] == [TARGET.name]
    assert all(path.suffix == ".lock" for path in _download.STORE.iterdir())


def interrupt(web: Server, path: str, n_bytes: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Let a download break off after some bytes in a run of its own."""
    web.resources[path].reset_after = [n_bytes]
    with monkeypatch.context() as once:
        once.setattr(_download, "ATTEMPTS", 1)
        refused(web.url + path, "broke off", **options)
    web.served = 0
    web.asked.clear()


def test_a_file_comes(web: Server) -> None:
    fetched(web.put("/file.bin", FILE))
    assert web.served == len(FILE)


def test_a_file_comes_in_chunks_without_a_length(web: Server) -> None:
    fetched(web.put("/file.bin", FILE, framing="chunked"))


def test_a_slow_file_comes(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out is for silence, not for the whole: this takes longer than it."""
    monkeypatch.setattr(_download, "READ_TIMEOUT", 0.3)
    fetched(web.put("/file.bin", FILE, pause=0.03))


@pytest.mark.parametrize("validators", [{}, {"etag": None, "modified": DATE}, {"etag": 'W/"weak"', "modified": DATE}])
def test_a_broken_connection_goes_on_where_it_stopped(web: Server, validators: dict[str, Any]) -> None:
    fetched(web.put("/file.bin", FILE, reset_after=[100_000, 50_000], **validators))
    assert web.served == len(FILE)
    assert [headers.get("Range") for _, headers in web.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert web.asked[1][1]["If-Range"] == (validators.get("modified") or '"first"')


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_next_run_goes_on_where_the_last_one_stopped(
    web: Server, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("/file.bin", FILE, framing=framing)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    fetched(url)
    assert web.asked[0][1]["Range"] == "bytes=200000-"


def test_a_process_killed_midway_loses_nothing(web: Server) -> None:
    url = web.put("/file.bin", FILE, stall_after=200_000)
    code = f"import pathlib; from stages.fetch._download import to_file; to_file([{url!r}], pathlib.Path('{TARGET}'))"
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    assert web.stalling.wait(30)
    store = _download.STORE
    while sum(path.stat().st_size for path in store.iterdir() if not path.suffix) < 150_000:
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not TARGET.exists()
    web.resources["/file.bin"].stall_after = None
    web.served = 0
    fetched(url)
    assert web.served <= 150_000


def test_ctrl_c_loses_nothing(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE, reset_after=[100_000])
    with mock.patch.object(_download, "time") as time, pytest.raises(KeyboardInterrupt):
        time.sleep.side_effect = KeyboardInterrupt
        to_file([url], TARGET)
    fetched(url)
    assert web.served == len(FILE)


def test_a_server_that_ignores_ranges_is_asked_for_all_again(web: Server) -> None:
    fetched(web.put("/file.bin", FILE, ranges=False, reset_after=[100_000]))
    assert web.served == 100_000 + len(FILE)


def test_one_that_breaks_off_at_the_same_byte_each_time_is_given_up(web: Server) -> None:
    url = web.put("/file.bin", FILE, ranges=False, reset_after=[100_000] * 50)
    refused(url, "the connection broke off; run again: it goes on where it stopped")
    assert len(web.asked) == _download.ATTEMPTS


def test_progress_is_no_failure(web: Server) -> None:
    """A long file over a bad line may break off more often than `ATTEMPTS`, if each attempt brings something."""
    fetched(web.put("/file.bin", FILE, reset_after=[30_000] * 9))


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [({}, {"etag": '"second"'}), ({"etag": None, "modified": DATE}, {"etag": None, "modified": LATER})],
)
def test_a_file_that_changes_meanwhile_is_not_glued_together(
    web: Server, if_range: bool, old: dict[str, Any], new: dict[str, Any]
) -> None:
    changed = Resource(OTHER, if_range=if_range, **new)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed, **old), OTHER)


def test_a_file_of_another_length_is_another_file(web: Server) -> None:
    changed = Resource(OTHER[:-1], if_range=False)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed), OTHER[:-1])


def test_a_shorter_file_than_what_is_there_is_another_file(web: Server) -> None:
    changed = Resource(OTHER[:5_000], if_range=False)
    fetched(web.put("/file.bin", FILE, reset_after=[100_000], then=changed), OTHER[:5_000])


def test_without_validators_and_hash_nothing_is_glued(web: Server) -> None:
    changed = Resource(OTHER, etag=None)
    fetched(web.put("/file.bin", FILE, etag=None, reset_after=[100_000], then=changed), OTHER)


def test_without_validators_the_hash_finds_glued_files_and_all_comes_anew(web: Server) -> None:
    changed = Resource(FILE, etag=None)
    url = web.put("/file.bin", OTHER, etag=None, reset_after=[100_000], then=changed)
    fetched(url, sha256=SHA256)
    assert [headers.get("Range") for _, headers in web.asked] == [None, "bytes=100000-", None]


def test_a_length_that_is_a_lie_is_half_a_file(web: Server) -> None:
    refused(web.put("/file.bin", FILE, announced=len(FILE) + 1), "the connection")
    assert len(web.asked) > 1


def test_an_end_that_could_be_anywhere_needs_a_hash(web: Server) -> None:
    url = web.put("/file.bin", FILE, framing="close")
    refused(url, "it does not say how long the file is, so half of it could pass for all; add its sha256")
    fetched(url, sha256=SHA256)


def test_an_empty_answer_is_no_file(web: Server) -> None:
    refused(web.put("/file.bin", b""), "the answer is empty")


def test_the_hash_is_checked_and_a_wrong_file_is_not_kept(web: Server) -> None:
    line = refused(web.put("/file.bin", OTHER), f"but {SHA256} is expected; it is another version", sha256=SHA256)
    assert hashlib.sha256(OTHER).hexdigest() in line
    assert len(web.asked) == 1
    assert all(path.suffix == ".lock" for path in _download.STORE.iterdir())


def test_a_hash_may_be_in_capitals(web: Server) -> None:
    fetched(web.put("/file.bin", FILE), sha256=SHA256.upper())


def test_mirrors_are_asked_in_turn_and_the_last_failure_is_said(web: Server) -> None:
    gone, wrong = web.put("/gone.bin", status=410), web.put("/wrong.bin", OTHER)
    line = refused([gone, wrong], f"{wrong}: what came has sha256", sha256=SHA256)
    assert f"(before it, {gone}: it answered 410 (Gone))" in line
    fetched([gone, wrong, web.put("/file.bin", FILE)], sha256=SHA256)


def test_what_a_broken_address_left_is_removed_when_a_mirror_helps(web: Server) -> None:
    broken = web.put("/broken.bin", FILE, ranges=False, reset_after=[100_000] * 50)
    fetched([broken, web.put("/file.bin", FILE)])


def test_https_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(partial: Any, url: str, *_: Any) -> None:
        asked.append(url)
        raise Failure("no", "no")

    monkeypatch.setattr(_download, "complete", fail)
    refused(["http://a.invalid/f", "https://b.invalid/f", "https://c.invalid/f"], "no")
    assert asked == ["https://b.invalid/f", "https://c.invalid/f", "http://a.invalid/f"]


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
    assert len(web.asked) == _download.ATTEMPTS
    web.resources["/file.bin"].status, web.served = 200, 0
    fetched(url)
    assert web.served == 100_000


def test_back_off_doubles_and_retry_after_goes_first(web: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = web.put("/file.bin", FILE, statuses=[500, 500, 500])
    with mock.patch.object(_download, "time") as time, mock.patch.object(_download, "BACKOFF", 2.0):
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
    assert _download.retry_after(email.utils.format_datetime(soon, usegmt=True)) == pytest.approx(60, abs=3)
    assert _download.retry_after(DATE.replace("2026", "2006")) == 0
    assert _download.retry_after("12") == 12
    assert _download.retry_after("soon") is None
    assert _download.retry_after(None) is None


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
    assert "secret" not in "".join(path.name for path in _download.STORE.iterdir())


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


@pytest.mark.parametrize("stall_after", [0, 100_000])
def test_a_stalled_transfer_times_out_and_is_kept(
    web: Server, stall_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "READ_TIMEOUT", 0.1)
    monkeypatch.setattr(_download, "ATTEMPTS", 1)
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


def test_a_full_disk_is_one_line_and_what_came_is_kept(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE, pause=0.01)

    class Full:
        n_calls = 0

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, _: int) -> None:
            self.n_calls += 1
            if self.n_calls == 3:
                raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as once:
        once.setattr(_download, "progress", lambda *_, **__: Full())
        refused(url, "the disk is full at data/.partial (")
    came, web.served = web.served, 0
    fetched(url)
    assert 0 < web.served < len(FILE)
    assert came > 0


def test_a_disk_that_will_be_full_is_said_before(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _: mock.Mock(free=1000))
    line = refused(web.put("/file.bin", FILE * 10), "the disk is full at data/.partial (3 MB more are needed)")
    assert "free some space and run again" in line


def test_a_file_that_failed_later_on_does_not_come_again(web: Server) -> None:
    """A whole file stays if what is done with it fails; with a hash the server is not even asked."""
    url = web.put("/file.bin", FILE)
    for hashes, n_asked, n_bytes in [
        ({}, 1, len(FILE)),
        ({}, 2, len(FILE) + 1),
        ({"sha256": SHA256}, 2, len(FILE) + 1),
    ]:
        with pytest.raises(ZeroDivisionError), downloaded([url], hashes=hashes) as path:
            assert path.read_bytes() == FILE
            raise ZeroDivisionError
        assert len(web.asked) == n_asked
        assert web.served == n_bytes
    fetched(url, sha256=SHA256)


def test_a_whole_file_that_has_changed_since_comes_anew(web: Server) -> None:
    url = web.put("/file.bin", FILE)
    with pytest.raises(ZeroDivisionError), downloaded([url]):
        raise ZeroDivisionError
    web.put("/file.bin", OTHER, etag='"second"')
    fetched(url, OTHER)


@pytest.mark.parametrize("notes", ["", "{}", "[]", "{", '{"etag": 1'])
def test_torn_notes_start_the_download_again(web: Server, notes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("/file.bin", FILE)
    interrupt(web, "/file.bin", 200_000, monkeypatch)
    (path,) = _download.STORE.glob("*.json")
    path.write_text(notes)
    fetched(url)
    assert web.served == len(FILE)


def test_two_processes_do_not_write_one_file(web: Server) -> None:
    url = web.put("/file.bin", FILE)
    with downloaded([url]):
        refused(url, "another process is downloading it")
    fetched(url)


def test_an_earlier_file_stays_until_the_new_one_is_whole(web: Server) -> None:
    TARGET.parent.mkdir()
    TARGET.write_bytes(b"an earlier good copy")
    url = web.put("/file.bin", status=404)
    with pytest.raises(InputError):
        to_file([url], TARGET)
    assert TARGET.read_bytes() == b"an earlier good copy"
    web.put("/file.bin", FILE)
    fetched(url)


def test_json_is_read(web: Server) -> None:
    assert read_json(web.put("/api", b'{"a": [1]}', statuses=[500])) == {"a": [1]}


@pytest.mark.parametrize("content", [b"<html>", b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_said(web: Server, content: bytes) -> None:
    with pytest.raises(InputError, match=r"/api: the answer is not the JSON it should be; run again later"):
        read_json(web.put("/api", content) + "?token=secret")


def test_a_long_json_answer_is_not_read_to_its_end(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "MAX_JSON", 10)
    with pytest.raises(InputError, match="not the JSON"):
        read_json(web.put("/api", b'"' + b"a" * 100_000 + b'"'))


@given(st.text())
def test_any_text_is_an_address_or_said_to_be_none(text: str) -> None:
    try:
        _download.check_address(text)
    except ParamsError as error:
        assert error.message.isprintable()
    else:
        assert plain(text).isprintable()
        assert _download.file_name(text).isprintable() or not _download.file_name(text)


@given(st.text(), st.text())
def test_any_redirect_is_followed_or_refused(url: str, location: str) -> None:
    try:
        assert _download.is_address(_download.target_of("https://a.invalid/" + url, location))
    except Failure as failure:
        assert "no web address" in failure.what

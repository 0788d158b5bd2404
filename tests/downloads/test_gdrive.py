"""Files of Google Drive: gdown itself against a server that answers as Drive does, and what its errors become."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.hosts import gdrive
from genept.downloads.store import Store
from tests.downloads.fetching import fetch, fetched, parts, refused, sha256
from tests.downloads.loopback import Answer, Request, Service, ranged, serving

FOLDER, INNER = "folder-0123456789-0123456789", "inner-0123456789-0123456789"
SMALL, LARGE, TWIN, OTHER_TWIN = (f"{name}-0123456789-0123456789" for name in ("small", "large", "twin1", "twin2"))
CONTENT = {SMALL: b'{"n": 1}', LARGE: bytes(range(256)) * 5000, TWIN: b"1", OTHER_TWIN: b"2"}
LISTING = {
    FOLDER: [
        ("file", SMALL, "args.json"),
        ("file", TWIN, "twin"),
        ("file", OTHER_TWIN, "twin"),
        ("folder", INNER, "part"),
    ],
    INNER: [("file", LARGE, "model.pt")],
}
PAGE = {"Content-Type": "text/html; charset=utf-8"}


class Drive(Service):
    """Google's hosts on one server: the link of a file, the page before a large one, the files, a folder's page."""

    def __init__(self) -> None:
        super().__init__()
        self.content, self.modified = dict(CONTENT), "Wed, 01 Mar 2023 10:00:00 GMT"

    def usual(self, request: Request) -> Answer:
        host, ident = request.headers["x-google-host"], request.query.get("id", "")
        if host == "accounts.google.com":
            return Answer(200, b"<html><title>Sign in</title></html>", PAGE)
        if host == "drive.google.com" and request.path == "/embeddedfolderview" and ident in LISTING:
            return Answer(200, folder_page(ident), PAGE)
        if ident not in CONTENT:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", PAGE)
        if host == "drive.google.com":
            place = f"https://drive.usercontent.google.com/download?id={ident}&export=download"
            return Answer(303, headers={**PAGE, "Location": place})
        if ident == LARGE and request.query.get("confirm") != "t":
            return Answer(200, virus_scan_page(ident), PAGE)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": 'attachment; filename="name on Drive"',
            **({"Last-Modified": self.modified} if self.modified else {}),
        }
        return ranged(request, self.content[ident], headers)

    def ranges(self) -> list[str | None]:
        """Return the ranges asked for in downloads of the large file."""
        return [request.headers.get("range") for request in self.server.requests if is_download(request)]

    def break_off(self, *n_bytes: int) -> None:
        """Break off downloads of the large file after some bytes each."""
        cuts = iter(n_bytes)

        def special(request: Request) -> Answer | None:
            if not is_download(request) or (cut := next(cuts, None)) is None:
                return None
            return dataclasses.replace(self.usual(request), cut=cut)

        self.special = special

    def recover(self) -> None:
        """Answer as usual from now on, and forget what was asked."""
        self.special = lambda request: None
        self.server.requests.clear()


def is_download(request: Request) -> bool:
    """Whether the large file is asked for, and not only what Drive says of it."""
    return "confirm" in request.query and request.headers.get("range") != "bytes=0-0"


def folder_page(ident: str) -> bytes:
    address = {
        "file": "https://drive.google.com/file/d/{}/view?usp=drive_web",
        "folder": "https://drive.google.com/drive/folders/{}",
    }
    links = [f'<a href="{address[kind].format(child)}"><div>{name}</div></a>' for kind, child, name in LISTING[ident]]
    title = "part" if ident == INNER else "shared"
    return f"<html><head><title>{title}</title></head><body>{''.join(links)}</body></html>".encode()


def virus_scan_page(ident: str) -> bytes:
    fields = {"id": ident, "export": "download", "confirm": "t", "uuid": "123"}
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    action = "https://drive.usercontent.google.com/download"
    return f'<html><form id="download-form" action="{action}" method="get">{inputs}</form></html>'.encode()


def error_page(text: str) -> bytes:
    return f'<html><p class="uc-error-caption">Sorry</p><p class="uc-error-subcaption">{text}</p></html>'.encode()


@pytest.fixture
def drive(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """Drive on this machine: what requests would send to Google's hosts goes there."""
    importlib.import_module("gdown")
    monkeypatch.setattr(sys.modules["gdown.download"], "_wait_or_cancel", lambda **_: None)
    drive, send = Drive(), requests.adapters.HTTPAdapter.send

    def send_here(self: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert request.url is not None
        parts = urllib.parse.urlsplit(request.url)
        assert parts.hostname is not None
        assert parts.hostname.endswith(".google.com")
        here = request.copy()
        here.url = f"{drive.server.address}{parts.path}?{parts.query}"
        here.headers["X-Google-Host"] = parts.hostname
        response = send(self, here, **options)
        response.url, response.request = request.url, request
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send_here)
    with serving(drive.answer) as drive.server:
        yield drive


MODEL = {"model.pt": {"id": LARGE}}
KNOWN = {"model.pt": {"id": LARGE, "sha256": sha256(CONTENT[LARGE])}}
WHOLE = {"model.pt": CONTENT[LARGE]}


def fail_midway(drive: Drive, files: dict[str, Any]) -> None:
    """Let a run fail with a part of the large file."""
    drive.break_off(600_000, *[0] * gdrive.RETRIES)
    text = f"Google Drive file {LARGE} (by its id): no connection, or it broke off again and again"
    refused("gdrive", files, text)
    assert [path.stat().st_size for path in parts()] == [524_288]
    drive.recover()


def test_files_come_by_their_ids_and_by_their_names_in_a_folder(drive: Drive, home: Path) -> None:
    files = {"args": {"id": SMALL}, "again": {"name": "args.json"}, "model": {"name": "part/model.pt"}}
    expected = {"args": CONTENT[SMALL], "again": CONTENT[SMALL], "model": CONTENT[LARGE], "twin": b"1"}
    fetched("gdrive", {**files, "twin": {"id": TWIN}}, expected, folder=FOLDER)
    assert not list(home.rglob("*"))
    assert not any("cookie" in request.headers for request in drive.server.requests)


GONE = "gone-0123456789-0123456789"


@pytest.mark.parametrize(
    ("folder", "name", "answer", "text"),
    [
        (FOLDER, "arg.json", None, f"folder {FOLDER} has no file 'arg.json'; did you mean 'args.json'?"),
        (FOLDER, "twin", None, f"2 files are called twin; give the id of one: {TWIN}, {OTHER_TWIN}"),
        (FOLDER, "a", Answer(200, b"<html><title>Sign in</title></html>", PAGE), "it may be empty, or not shared"),
        (FOLDER, "a", Answer(503, b"<html>503</html>", PAGE), "Drive answered with HTTP 503; run again later, or ask"),
        (GONE, "a", None, f"{gdrive.GONE}; or download it in a browser from {gdrive.BASE}/drive/folders/{GONE} and"),
    ],
)
def test_what_a_folder_does_not_give_is_one_line(
    drive: Drive, folder: str, name: str, answer: Answer | None, text: str
) -> None:
    drive.special = lambda request: answer
    line = refused("gdrive", {"a": {"name": name}}, text, folder=folder)
    assert line.startswith(f"Google Drive folder {folder}")


def test_a_check_asks_for_a_byte_at_most_and_says_what_a_download_would_meet(drive: Drive) -> None:
    def probe(**keys: str) -> int | None:
        return gdrive.GoogleDrive(kind="gdrive", **keys).probe(Store())

    assert [probe(folder=FOLDER, name="args.json"), probe(id=LARGE)] == [len(CONTENT[SMALL]), len(CONTENT[LARGE])]
    drive.special = lambda request: Answer(200, b'<form id="download-form"></form><a>model.pt</a> (1.5G)', PAGE)
    assert probe(id=LARGE) == 1.5 * 2**30
    drive.special = lambda request: Answer(200, error_page("Too many users have viewed or downloaded it"), PAGE)
    with pytest.raises(InputError, match="quota"):
        probe(id=LARGE)
    drive.recover()
    with pytest.raises(NotFoundAtSource, match="it is not there"):
        probe(id=GONE)
    assert drive.server.n_bytes < 2000  # pages


def test_a_run_that_failed_is_continued_by_the_next_if_the_sha256_is_known(drive: Drive) -> None:
    fail_midway(drive, KNOWN)
    fetched("gdrive", KNOWN, WHOLE)
    assert drive.ranges()[-1] == "bytes=524288-"


def test_without_a_sha256_a_part_is_not_joined_with_what_may_be_another_file(drive: Drive) -> None:
    fail_midway(drive, MODEL)
    drive.content[LARGE] = bytes(reversed(CONTENT[LARGE]))
    fetched("gdrive", MODEL, {"model.pt": drive.content[LARGE]})
    assert drive.ranges() == [None]


def test_a_part_that_drive_does_not_continue_is_removed(drive: Drive) -> None:
    fail_midway(drive, KNOWN)
    whole = {"Content-Disposition": 'attachment; filename="x"', "Content-Type": "application/octet-stream"}
    drive.special = lambda request: Answer(200, CONTENT[LARGE], whole) if "confirm" in request.query else None
    refused("gdrive", KNOWN, "would not continue the part that was here; it was removed")
    fetched("gdrive", KNOWN, WHOLE)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            Answer(200, error_page("Too many users have viewed or downloaded this file recently."), PAGE),
            "too many people downloaded it lately (Drive's quota); run again in a day",
        ),
        (Answer(302, headers={**PAGE, "Location": "https://accounts.google.com/v3/signin"}), "it is not shared with"),
        (Answer(404, b"<html>Not Found</html>", PAGE), "it is not there: deleted, moved, or another id"),
        (Answer(200, b"<html>new design</html>", PAGE), "Drive answered with a page and no file (HTTP 200)"),
        (
            Answer(500, b"x", {**PAGE, "Content-Disposition": "attachment"}),
            "Drive answered with HTTP 500; run again later",
        ),
        (Answer(200, error_page("This file is infected with a virus."), PAGE), "Drive says: This file is infected"),
    ],
    ids=["quota", "sign in", "gone", "page", "failing", "other"],
)
def test_a_page_in_place_of_a_file_is_one_line_with_the_way_by_hand(drive: Drive, answer: Answer, text: str) -> None:
    drive.special = lambda request: answer if request.headers["x-google-host"] == "drive.google.com" else None
    line = refused("gdrive", MODEL, text)
    assert line.startswith(f"Google Drive file {LARGE} (by its id): ")
    assert f"in a browser from https://drive.google.com/file/d/{LARGE}/view and use kind: local" in line


def test_what_is_not_there_leads_to_the_next_place_and_what_is_not_shared_does_not(drive: Drive) -> None:
    first, *others = [{"id": GONE}, {"folder": GONE, "name": "a"}, {"folder": FOLDER, "name": "a"}, {"id": SMALL}]
    output = fetch("gdrive", {"args.json": {**first, "fallback": others}})
    reasons = [line.rpartition("): ")[2] for line in output.splitlines()[:3]]
    assert reasons == [gdrive.GONE, gdrive.GONE, f"Google Drive folder {FOLDER} has no file 'a'"]
    drive.special = lambda request: Answer(403, b"<html>Forbidden</html>", PAGE)
    refused("gdrive", {"b": {**first, "fallback": [{"id": TWIN}], "optional": True}}, "it is not shared")
    drive.server.address = "http://127.0.0.1:9"  # nobody listens there
    for item in ({"id": LARGE}, {"folder": INNER, "name": "args.json"}):
        refused("gdrive", {"a": item}, "no connection, or it broke off again and again")


@pytest.mark.parametrize(
    ("page", "headers", "text"),
    [
        (gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"}, "its answer is longer than 4 MB"),
        (b" " * (5 << 20), {}, "its answer is longer than 4 MB"),
        (
            b"<title>x</title>" + folder_page(FOLDER).replace(INNER.encode(), FOLDER.encode()),
            {},
            "it has more than 3 folders",
        ),
    ],
    ids=["bomb", "long", "a folder in itself"],
)
def test_pages_are_bounded(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, page: bytes, headers: dict[str, str], text: str
) -> None:
    monkeypatch.setattr(gdrive, "MAX_PAGES", 3)
    drive.special = lambda request: Answer(200, page, {**PAGE, **headers})
    line = refused("gdrive", {"a": {"name": "a"}}, text, folder=FOLDER)
    assert line.startswith(f"Google Drive folder {FOLDER}: ")

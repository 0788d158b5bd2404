"""Files of Google Drive: gdown itself against a server that answers as Drive does, and what its errors become."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest
import requests

from genept.downloads.hosts import gdrive
from tests.downloads.fetching import FOLDER as RAW
from tests.downloads.fetching import content, invoke, parts, refusal, sha256, write_demo
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

    def sizes(self) -> list[str | None]:
        """Return the ranges asked for in downloads of the large file."""
        return [request.headers.get("range") for request in self.server.requests if is_download(request)]

    def break_off(self, n_bytes: int) -> None:
        """Break off a download of the large file after some bytes, and give nothing more of it."""
        cuts = iter([n_bytes, *([0] * gdrive.RETRIES)])

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


def source(folder: str | None = None, **files: Any) -> dict[str, Any]:
    found = {"kind": "gdrive", "files": {target.replace("_", "."): item for target, item in files.items()}}
    return found if folder is None else {**found, "folder": folder}


def fetch(source: dict[str, Any]) -> click.testing.Result:
    write_demo(source)
    return invoke()


def test_files_come_by_their_ids(drive: Drive, home: Path) -> None:
    result = fetch(source(args_json={"id": SMALL}, model_pt={"id": LARGE}))
    assert result.exit_code == 0, result.output
    assert Path(RAW, "args.json").read_bytes() == CONTENT[SMALL]
    assert Path(RAW, "model.pt").read_bytes() == CONTENT[LARGE]
    assert not parts()
    assert not list(home.rglob("*"))
    assert not any("cookie" in request.headers for request in drive.server.requests)


def test_files_come_by_their_names_in_a_folder(drive: Drive) -> None:
    result = fetch(
        source(FOLDER, args_json={"name": "args.json"}, model_pt={"name": "part/model.pt"}, twin={"id": TWIN})
    )
    assert result.exit_code == 0, result.output
    assert Path(RAW, "args.json").read_bytes() == CONTENT[SMALL]
    assert Path(RAW, "model.pt").read_bytes() == CONTENT[LARGE]
    assert Path(RAW, "twin").read_bytes() == b"1"


def test_a_name_that_is_not_in_the_folder_or_is_there_twice_is_said(drive: Drive) -> None:
    line = refusal(fetch(source(FOLDER, a={"name": "arg.json"})))
    assert f"Google Drive folder {FOLDER} has no file 'arg.json'; did you mean 'args.json'?" in line
    line = refusal(fetch(source(FOLDER, a={"name": "twin"})))
    assert f"2 files are called twin; give the id of one: {TWIN}, {OTHER_TWIN}" in line


def test_a_folder_that_shows_nothing_may_be_private(drive: Drive) -> None:
    drive.special = lambda request: Answer(200, b"<html><title>Sign in</title></html>", PAGE)
    line = refusal(fetch(source(FOLDER, a={"name": "args.json"})))
    assert "it lists no files; it may be empty, or not shared with everyone" in line


def test_a_folder_that_is_gone_is_one_line_with_the_way_by_hand(drive: Drive) -> None:
    line = refusal(fetch(source("gone-0123456789-0123456789", a={"name": "args.json"})))
    assert "Google Drive folder gone-0123456789-0123456789: " in line
    assert "it is not there: deleted, moved, or another id" in line
    assert "in a browser from https://drive.google.com/drive/folders/gone-0123456789-0123456789" in line


def test_a_folder_whose_page_fails_is_one_line_without_guesses(drive: Drive) -> None:
    drive.special = lambda request: Answer(503, b"<html>Error 503</html>", PAGE)
    line = refusal(fetch(source(FOLDER, a={"name": "args.json"})))
    assert f"Google Drive folder {FOLDER}: Drive answered with HTTP 503; run again later" in line
    assert "You may need to change" not in line


def test_a_connection_that_breaks_off_is_continued(drive: Drive) -> None:
    cuts = iter([600_000])

    def special(request: Request) -> Answer | None:
        cut = next(cuts, None) if is_download(request) else None
        return None if cut is None else dataclasses.replace(drive.usual(request), cut=cut)

    drive.special = special
    assert fetch(source(model_pt={"id": LARGE})).exit_code == 0
    assert Path(RAW, "model.pt").read_bytes() == CONTENT[LARGE]
    (first, second) = drive.sizes()
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > 0


def test_a_run_that_failed_is_continued_by_the_next_if_the_sha256_is_known(drive: Drive) -> None:
    files = source(args_json={"id": SMALL}, model_pt={"id": LARGE, "sha256": sha256(CONTENT[LARGE])})
    drive.break_off(600_000)
    line = refusal(fetch(files))
    assert f"Google Drive file {LARGE} (by its id): no connection, or it broke off again and again" in line
    assert [path.stat().st_size for path in parts()] == [524_288]
    drive.recover()
    assert fetch(files).exit_code == 0
    assert (RAW / "model.pt").read_bytes() == CONTENT[LARGE]
    assert drive.sizes()[-1] == "bytes=524288-"
    assert not any(request.query.get("id") == SMALL for request in drive.server.requests)
    assert not parts()


def test_without_a_sha256_a_part_is_not_joined_with_what_may_be_another_file(drive: Drive) -> None:
    drive.break_off(600_000)
    refusal(fetch(source(model_pt={"id": LARGE})))
    drive.recover()
    drive.content[LARGE] = bytes(reversed(CONTENT[LARGE]))
    assert fetch(source(model_pt={"id": LARGE})).exit_code == 0
    assert (RAW / "model.pt").read_bytes() == drive.content[LARGE]
    assert drive.sizes() == [None]


def test_a_part_that_was_joined_with_another_file_is_found_by_the_sha256(drive: Drive) -> None:
    item = {"id": LARGE, "sha256": sha256(CONTENT[LARGE])}
    drive.break_off(600_000)
    refusal(fetch(source(model_pt=item)))
    drive.recover()
    drive.content[LARGE] = bytes(reversed(CONTENT[LARGE]))
    assert "but the settings expect" in refusal(fetch(source(model_pt=item)))
    drive.content[LARGE] = CONTENT[LARGE]
    assert fetch(source(model_pt=item)).exit_code == 0


def test_an_empty_file_comes(drive: Drive) -> None:
    drive.content[SMALL] = b""

    def special(request: Request) -> Answer | None:
        empty = Answer(416, b"", {"Content-Range": "bytes */0"})
        return empty if request.headers.get("range") and "uc" not in request.path else None

    drive.special = special
    result = fetch(source(args_json={"id": SMALL}))
    assert result.exit_code == 0, result.output
    assert Path(RAW, "args.json").read_bytes() == b""


def test_a_part_that_drive_does_not_continue_is_removed(drive: Drive) -> None:
    item = {"id": LARGE, "sha256": sha256(CONTENT[LARGE])}
    drive.break_off(600_000)
    refusal(fetch(source(model_pt=item)))
    whole = {"Content-Disposition": 'attachment; filename="x"', "Content-Type": "application/octet-stream"}
    drive.special = lambda request: Answer(200, CONTENT[LARGE], whole) if "confirm" in request.query else None
    assert "would not continue the part that was here; it was removed" in refusal(fetch(source(model_pt=item)))
    assert fetch(source(model_pt=item)).exit_code == 0


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            Answer(200, error_page("Too many users have viewed or downloaded this file recently."), PAGE),
            "too many people downloaded it lately (Drive's quota); run again in a day",
        ),
        (Answer(302, headers={**PAGE, "Location": "https://accounts.google.com/v3/signin"}), "it is not shared with"),
        (Answer(403, b"<html>Forbidden</html>", PAGE), "it is not shared with everyone who has the link"),
        (Answer(404, b"<html>Not Found</html>", PAGE), "it is not there: deleted, moved, or another id"),
        (Answer(429, b"<html>Too Many</html>", PAGE), "Drive answered with a page and no file (HTTP 429)"),
        (Answer(200, b"<html>new design</html>", PAGE), "Drive answered with a page and no file (HTTP 200)"),
        (
            Answer(500, b"x", {**PAGE, "Content-Disposition": "attachment"}),
            "Drive answered with HTTP 500; run again later",
        ),
        (Answer(200, error_page("This file is infected with a virus."), PAGE), "Drive says: This file is infected"),
    ],
    ids=["quota", "sign in", "forbidden", "gone", "too many requests", "page", "failing", "other"],
)
def test_a_page_in_place_of_a_file_is_one_line_with_the_way_by_hand(drive: Drive, answer: Answer, text: str) -> None:
    drive.special = lambda request: answer if request.headers["x-google-host"] == "drive.google.com" else None
    line = refusal(fetch(source(model_pt={"id": LARGE})))
    assert line.startswith(f"Error: Google Drive file {LARGE} (by its id): ")
    assert text in line
    assert f"in a browser from https://drive.google.com/file/d/{LARGE}/view and use kind: local" in line
    assert content() == {}


@pytest.mark.parametrize("item", [{"id": SMALL}, {"name": "args.json"}])
def test_without_network_the_line_says_so(drive: Drive, monkeypatch: pytest.MonkeyPatch, item: dict[str, str]) -> None:
    drive.server.address = "http://127.0.0.1:9"  # nobody listens there
    assert "no connection, or it broke off again and again" in refusal(fetch(source(FOLDER, a={**item})))


def test_what_is_not_there_leads_to_the_next_place_and_what_is_not_shared_does_not(drive: Drive) -> None:
    gone = "gone-0123456789-0123456789"
    first, *others = [{"id": gone}, {"folder": gone, "name": "a"}, {"folder": FOLDER, "name": "a"}, {"id": SMALL}]
    files = {"args.json": {**first, "fallback": others}}
    result = fetch({"kind": "gdrive", "files": files})
    assert result.exit_code == 0, result.output
    reasons = [line.rpartition("): ")[2] for line in result.output.splitlines()[:3]]
    assert reasons == [gdrive.GONE, gdrive.GONE, f"Google Drive folder {FOLDER} has no file 'a'"]
    drive.special = lambda request: Answer(403, b"<html>Forbidden</html>", PAGE)
    files["args.json"]["fallback"] = [{"id": TWIN}]
    refusal(fetch({"kind": "gdrive", "files": {"other.json": {**files["args.json"], "optional": True}}}))

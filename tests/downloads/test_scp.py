"""Files of the Single Cell Portal, against a server with the portal's route for bulk downloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.downloads import web as _web
from genept.downloads.hosts import scp
from tests.downloads.fetching import FOLDER, invoke, parts, refusal, sha256, write_demo
from tests.downloads.loopback import Answer, Request, Service, ranged, serving

CODE = "sEcReT12"
CONTENT = {"raw.mtx": b"%%MatrixMarket\n" * 1000, "meta.txt": b"NAME\tcell_type\n", "twin.csv": b"1"}


class Portal(Service):
    """The portal, which signs anew whenever it is asked, and the bucket, which knows the newest signature only."""

    def __init__(self) -> None:
        super().__init__()
        self.n_signed, self.content, self.refusal = 0, dict(CONTENT), 0

    def usual(self, request: Request) -> Answer:
        if request.path.startswith("/bucket/"):
            assert request.query["signature"] == f"s={self.n_signed}&x"
            content = self.content[request.path.rpartition("/")[2]]
            about = {"Content-Type": "application/octet-stream", "ETag": f'"{sha256(content)}"'}
            return Answer(self.refusal) if self.refusal else ranged(request, content, about)
        assert request.path == "/single_cell/api/v1/bulk_download/generate_curl_config"
        if request.query["auth_code"] != CODE:
            return Answer(401, b'{"error": "unauthorized"}')
        if request.query["accessions"] != "SCP1303":
            return Answer(404)
        assert request.query == {"auth_code": CODE, "accessions": "SCP1303", "directory": "all", "context": "study"}
        self.n_signed += 1
        return Answer(200, self.settings().encode(), {"Content-Type": "text/plain"})

    def settings(self) -> str:
        files = ["expression/raw.mtx", "metadata/meta.txt", "a/twin.csv", "b/twin.csv"]
        address = f"{self.server.address}/bucket"
        blocks = [
            f'url="{address}/{file}?signature=s%3D{self.n_signed}%26x"\noutput="SCP1303/{file}"' for file in files
        ]
        return "--create-dirs\n--compressed\n" + "\n\n".join(blocks)

    def ranges(self) -> list[tuple[str, str | None]]:
        """Return what was asked of the bucket, file and range, and forget it."""
        asked = [one for one in self.server.requests if one.path.startswith("/bucket/")]
        self.server.requests.clear()
        return [(one.path.rpartition("/")[2], one.headers.get("range")) for one in asked]

    def break_off(self, n_bytes: int) -> None:
        """Break off each answer of the bucket after some bytes of `raw.mtx`."""

        def special(request: Request) -> Answer | None:
            if not request.path.endswith("/raw.mtx"):
                return None
            answer = self.usual(request)
            return Answer(answer.status, answer.body, answer.headers, cut=n_bytes)

        self.special = special


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    monkeypatch.setenv("SCP_TOKEN", f" {CODE}\n")
    portal = Portal()
    with serving(portal.answer) as portal.server:
        monkeypatch.setenv("SCP_URL", f"{portal.server.address}/single_cell/")
        yield portal


def source(study: Any = "SCP1303", **names: str) -> dict[str, Any]:
    files = {target: {"name": name} for target, name in (names or {"raw": "raw.mtx", "meta": "meta.txt"}).items()}
    return {"kind": "scp", "study": study, "files": files}


def fetch(source: dict[str, Any]) -> click.testing.Result:
    write_demo(source)
    return invoke()


def test_files_of_a_study_come_by_their_names(portal: Portal) -> None:
    result = fetch(source())
    assert result.exit_code == 0, result.output
    assert (FOLDER / "raw").read_bytes() == CONTENT["raw.mtx"]
    assert (FOLDER / "meta").read_bytes() == CONTENT["meta.txt"]
    assert len(portal.server.requests) == 3
    assert CODE not in result.output


def test_the_next_run_goes_on_with_another_signature(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as once:
        once.setattr(_web, "ATTEMPTS", 1)
        portal.break_off(5_000)
        assert "raw.mtx: the connection broke off; run again" in refusal(fetch(source()))
    portal.special = lambda request: None
    assert portal.ranges() == [("raw.mtx", None)]
    result = fetch(source())
    assert result.exit_code == 0, result.output
    assert portal.n_signed == 2
    assert portal.ranges() == [("raw.mtx", "bytes=5000-"), ("meta.txt", None)]
    assert (FOLDER / "raw").read_bytes() == CONTENT["raw.mtx"]
    assert not parts()


def test_a_file_that_has_changed_since_starts_again(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as once:
        once.setattr(_web, "ATTEMPTS", 1)
        portal.break_off(5_000)
        refusal(fetch(source()))
    portal.special = lambda request: None
    portal.content["raw.mtx"] = CONTENT["raw.mtx"].swapcase()  # of the same length
    portal.ranges()
    result = fetch(source())
    assert result.exit_code == 0, result.output
    assert portal.ranges() == [("raw.mtx", "bytes=5000-"), ("raw.mtx", None), ("meta.txt", None)]
    assert (FOLDER / "raw").read_bytes() == CONTENT["raw.mtx"].swapcase()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_signature_that_is_too_old_asks_for_a_new_code(portal: Portal, status: int) -> None:
    portal.refusal = status
    line = refusal(fetch(source()))
    assert f"{portal.server.address}/bucket/expression/raw.mtx: it answered {status} (" in line
    assert "): the code in SCP_TOKEN has expired; a new SCP_TOKEN is needed, and the download goes on where it" in line
    assert "press Bulk download" in line
    assert "signature" not in line and CODE not in line


def test_without_a_code_the_line_says_how_to_get_one(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCP_TOKEN")
    monkeypatch.delenv("SCP_URL")
    line = refusal(fetch(source()))
    assert "SCP_TOKEN is not set" in line
    assert "sign in on https://singlecell.broadinstitute.org/single_cell/study/SCP1303, open Download" in line
    assert "kind: local" in line
    assert not portal.server.requests


def test_a_code_that_is_refused_is_said_and_not_printed(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCP_TOKEN", "sEcReToLd")
    line = refusal(fetch(source()))
    assert "the Single Cell Portal refused the code in SCP_TOKEN (HTTP 401)" in line
    assert "press Bulk download" in line
    assert "sEcReT" not in line


def test_a_study_that_is_not_there_is_said(portal: Portal) -> None:
    assert "SCP9: the Single Cell Portal, " in refusal(fetch(source("SCP9")))


def test_a_file_that_is_not_there_or_there_twice_is_said(portal: Portal) -> None:
    line = refusal(fetch(source(raw="raw.mtx.gz")))
    assert "SCP1303 of the Single Cell Portal has no file 'raw.mtx.gz'; did you mean 'raw.mtx'?" in line
    assert "SCP1303: 2 files are called twin.csv" in refusal(fetch(source(twin="twin.csv")))


def test_a_portal_that_fails_is_said(portal: Portal) -> None:
    portal.special = lambda request: Answer(502)
    assert "it answered 502 (Bad Gateway); run again" in refusal(fetch(source()))
    portal.special = lambda request: Answer(200, b"<html>Sign in</html>")
    assert "has no file 'raw.mtx'; it lists no files" in refusal(fetch(source()))


def test_without_network_the_line_says_so(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCP_URL", "http://127.0.0.1:9/single_cell")
    line = refusal(fetch(source()))
    assert "SCP1303: the Single Cell Portal, http://127.0.0.1:9/single_cell: no connection; check the network" in line
    assert CODE not in line


NAMES = st.text("abcXYZ019-_.,é:= ?&%", min_size=1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES)), st.sampled_from(["\n", "\n\n", "\r\n"]), st.sampled_from(["", " "]))
def test_what_is_written_as_settings_of_curl_is_read_from_them(
    files: list[tuple[str, str, str]], end: str, space: str
) -> None:
    text = f"--create-dirs{end}"
    expected: dict[str, list[str]] = {}
    for folder, name, query in files:
        text += f'url{space}={space}"https://x.org/{query}"{end}output{space}={space}"SCP1/{folder}/{name}"{end}'
        expected.setdefault(name, []).append(f"https://x.org/{query}")
    assert scp.parse(text) == expected


@settings(deadline=None, max_examples=50)
@given(st.text('urlotp="/:\\ \t\r\né'))
def test_any_text_is_read_without_an_error(text: str) -> None:
    scp.parse(text)

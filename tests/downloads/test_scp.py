"""Files of the Single Cell Portal, against a server with the portal's route for bulk downloads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from genept.core.errors import InputError
from genept.downloads.hosts.scp import SingleCellPortal
from genept.downloads.store import Store
from tests.downloads.fetching import fetched, one_attempt, refused, sha256
from tests.downloads.loopback import Answer, Request, Service, ranged, serving

CODE = "sEcReT12"
CONTENT = {"raw.mtx": b"%%MatrixMarket\n" * 1000, "meta.txt": b"NAME\tcell_type\n", "twin.csv": b"1"}
FILES: dict[str, Any] = {"raw": {"name": "raw.mtx"}, "meta": {"name": "meta.txt"}}
EXPECTED = {"raw": CONTENT["raw.mtx"], "meta": CONTENT["meta.txt"]}
STUDY = {"study": "SCP1303"}


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


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    monkeypatch.setenv("SCP_TOKEN", f" {CODE}\n")
    portal = Portal()
    with serving(portal.answer) as portal.server:
        monkeypatch.setenv("SCP_URL", f"{portal.server.address}/single_cell/")
        yield portal


def test_files_of_a_study_come_by_their_names(portal: Portal) -> None:
    assert CODE not in fetched("scp", FILES, EXPECTED, **STUDY)
    assert len(portal.server.requests) == 3


@pytest.mark.parametrize("changed", [False, True])
def test_the_next_run_goes_on_with_another_signature_unless_the_file_has_changed(portal: Portal, changed: bool) -> None:
    def break_off(request: Request) -> Answer | None:
        return dataclasses.replace(portal.usual(request), cut=5000) if request.path.endswith("/raw.mtx") else None

    portal.special = break_off
    with one_attempt():
        refused("scp", FILES, "raw.mtx: the connection broke off; run again", **STUDY)
    portal.special = lambda request: None
    assert portal.ranges() == [("raw.mtx", None)]
    if changed:
        portal.content["raw.mtx"] = CONTENT["raw.mtx"].swapcase()  # of the same length
    fetched("scp", FILES, {**EXPECTED, "raw": portal.content["raw.mtx"]}, **STUDY)
    assert portal.n_signed == 2
    again = [("raw.mtx", None)] if changed else []
    assert portal.ranges() == [("raw.mtx", "bytes=5000-"), *again, ("meta.txt", None)]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_signature_that_is_too_old_asks_for_a_new_code(portal: Portal, status: int) -> None:
    portal.refusal = status
    line = refused("scp", FILES, f"/bucket/expression/raw.mtx: it answered {status} (", **STUDY)
    assert "): the code in SCP_TOKEN has expired; a new SCP_TOKEN is needed, and the download goes on where it" in line
    assert "press Bulk download" in line
    assert "signature" not in line and CODE not in line


def test_without_a_code_or_with_an_old_one_the_line_says_how_to_get_one(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCP_TOKEN", "sEcReToLd")
    text = "it answered 401 (Unauthorized): the Single Cell Portal refused the code in SCP_TOKEN; sign in on "
    assert "sEcReT" not in refused("scp", FILES, text, **STUDY)
    for name in ("SCP_TOKEN", "SCP_URL"):
        monkeypatch.delenv(name)
    line = refused("scp", FILES, "SCP_TOKEN is not set", **STUDY)
    assert "sign in on https://singlecell.broadinstitute.org/single_cell/study/SCP1303, open Download" in line
    assert "kind: local" in line


def test_a_check_spends_no_code(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    place = SingleCellPortal(kind="scp", name="raw.mtx", **STUDY)
    portal.special = lambda request: Answer(200) if request.path == "/single_cell/study/SCP1303" else None
    assert place.probe(Store()) is None and portal.n_signed == 0
    monkeypatch.delenv("SCP_TOKEN")
    with pytest.raises(InputError, match="SCP_TOKEN is not set; sign in on"):
        place.probe(Store())


def test_what_is_not_there_or_there_twice_is_said(portal: Portal) -> None:
    refused("scp", FILES, "generate_curl_config: it answered 404 (Not Found); there is no such thing", study="SCP9")
    odd = b'url = "https://x.org/a?b=%3D&c" \r\noutput = "SCP1303/a b/c,=.csv"\r\n'
    text = "SCP1303 of the Single Cell Portal has no file 'raw.mtx.gz'; did you mean 'raw.mtx'?"
    refused("scp", {"raw": {"name": "raw.mtx.gz"}}, text, **STUDY)
    refused("scp", {"twin": {"name": "twin.csv"}}, "SCP1303: 2 files are called twin.csv", **STUDY)
    portal.special = lambda request: Answer(200, odd)
    refused("scp", FILES, "has no file 'raw.mtx'; it has c,=.csv", **STUDY)
    portal.special = lambda request: Answer(200, odd.replace(b"x.org", b"["))
    refused("scp", FILES, "SCP1303: the portal's list of files is not as expected; use `kind: local`", **STUDY)
    portal.special = lambda request: Answer(200, b"<html>Sign in</html>")
    refused("scp", FILES, "has no file 'raw.mtx'; it lists no files", **STUDY)

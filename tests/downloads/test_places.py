"""A file in one of several places, and a dataset's fallback: only "not there" leads to the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.downloads.archives import tar
from tests.downloads.fetching import FOLDER, STORE, content, fetch, invoke, locked, refused, sha256, write_demo
from tests.downloads.loopback import Web

LABELS = b"cell,type\n"


def attempts() -> list[tuple[str, str]]:
    tried = json.loads((FOLDER / "attempts.json").read_text())["labels.csv"]
    return [(one["kind"], one["outcome"]) for one in tried]


def places(web: Web, *others: dict[str, Any], **item: Any) -> dict[str, Any]:
    gone = web.put("/gone.csv", status=404)
    return {"labels.csv": {"url": gone, "fallback": list(others), **item}}


def test_the_first_place_that_has_the_file_gives_it(web: Web) -> None:
    second = {"kind": "local", "path": "data/manual/labels.csv", "where": "ask the authors"}
    archive = {"kind": "http", "url": web.put("/all.tar", tar({"a": b""})), "member": "labels.csv"}
    last = {"url": web.put("/labels.csv", LABELS)}
    result = fetch("http", places(web, second, archive, last, {"url": f"{web.url}/never"}))
    assert result.exit_code == 0, result.output
    assert content()["labels.csv"] == LABELS
    assert attempts() == [("http", "not there"), ("local", "not there"), ("http", "not there"), ("http", "used")]
    assert "labels.csv (local data/manual/labels.csv): no such file; to get it: ask the authors" in result.output
    assert "all.tar: has no member 'labels.csv'" in result.output
    assert not any(request.path == "/never" for request in web.server.requests)


def test_the_next_run_asks_nobody_and_says_the_same(web: Web) -> None:
    files = places(web, {"url": web.put("/labels.csv", LABELS)})
    assert fetch("http", files).exit_code == 0
    before = content()
    web.forget()
    assert fetch("http", files).exit_code == 0
    assert content() == before
    assert not web.server.requests
    assert locked()["data/demo/labels.csv"]["place"] == f"http {web.url}/labels.csv"


def test_a_local_file_that_comes_later_goes_first(web: Web) -> None:
    files = {
        "labels.csv": {
            "kind": "local",
            "path": "labels.csv",
            "fallback": [{"kind": "http", "url": web.put("/labels.csv", LABELS)}],
        }
    }
    assert fetch("http", files).exit_code == 0
    assert attempts() == [("local", "not there"), ("http", "used")]
    Path("labels.csv").write_bytes(b"mine")
    assert fetch("http", files).exit_code == 0
    assert (content()["labels.csv"], attempts()) == (b"mine", [("local", "used")])


def test_an_optional_file_that_the_lock_knows_is_not_silently_left_out(web: Web) -> None:
    files = {"labels.csv": {"url": web.put("/labels.csv", LABELS), "optional": True}}
    assert fetch("http", files).exit_code == 0
    web.put("/labels.csv", status=404)
    shutil.rmtree(STORE)
    line = refused("http", files, "labels.csv is no longer at its source, but data/hashes.lock.yaml has it since")
    assert "to go on without it, remove the lines of data/demo/labels.csv" in line


@pytest.mark.parametrize("status", [403, 429, 503])
def test_any_other_failure_stops(web: Web, status: int) -> None:
    files = places(web, {"url": web.put("/down.csv", status=status)}, {"url": web.put("/labels.csv", LABELS)})
    refused("http", files, f"/down.csv: it answered {status}")


def test_a_file_in_no_place_is_said_unless_it_is_optional(web: Web) -> None:
    files = places(web, {"kind": "local", "path": "labels.csv"})
    line = refused("http", files, "data/demo: labels.csv is in none of 2 places, add another one, or `optional: true`")
    assert f"(1) {web.url}/gone.csv: it answered 404 (Not Found); there is no such thing" in line
    assert "(2) " in line
    files["labels.csv"]["optional"] = True
    assert fetch("http", files).exit_code == 0
    assert set(content()) == {"attempts.json"}


def test_a_sha256_holds_for_every_place(web: Web) -> None:
    files = places(web, {"url": web.put("/labels.csv", b"altered")}, sha256=sha256(LABELS))
    refused("http", files, f"/labels.csv: what came has sha256 {sha256(b'altered')}, but {sha256(LABELS)} is expected")


def fallback(url: str) -> dict[str, Any]:
    source = {"kind": "http", "files": {"other.csv": {"url": url}}}
    return {"title": "Another", "note": "", "source": source, "obs": {"cell_type": "kind"}}


def write(web: Web, own: str, other: str) -> None:
    write_demo({"kind": "http", "files": {"own.csv": {"url": own}}}, fallback=fallback(other))


def test_the_fallback_of_a_dataset_takes_its_place_with_a_note(web: Web) -> None:
    write(web, web.put("/own.csv", status=404), web.put("/other.csv", b"other"))
    result = invoke()
    assert result.exit_code == 0, result.output
    note = json.loads(content()["fallback.json"])
    assert (set(content()), note) == ({"other.csv", "fallback.json"}, {"because": "it answered 404 (Not Found)"})
    assert "its fallback takes its place" in result.output
    assert set(locked()) == {"data/demo.fallback/other.csv"}
    web.put("/own.csv", b"own")  # it is there again
    assert invoke().exit_code == 0
    assert content() == {"own.csv": b"own"}


def test_the_fallback_is_not_for_other_failures(web: Web) -> None:
    write(web, web.put("/own.csv", status=503), web.put("/other.csv", b"other"))
    result = invoke()
    assert (result.exit_code, content()) == (1, {})
    assert "/own.csv: it answered 503" in result.output


def test_where_neither_is_there_the_last_is_said(web: Web) -> None:
    write(web, web.put("/own.csv", status=404), web.put("/other.csv", status=410))
    result = invoke()
    assert (result.exit_code, content()) == (1, {})
    assert result.output.splitlines()[-1].startswith(f"Error: {web.url}/other.csv: it answered 410 (Gone)")


def test_a_note_of_an_earlier_fallback_does_not_stay(web: Web) -> None:
    write(web, web.put("/own.csv", status=404), web.put("/other.csv", b"other"))
    assert invoke().exit_code == 0
    shutil.rmtree(STORE)
    write(web, web.put("/own.csv", b"own"), f"{web.url}/other.csv")
    assert invoke().exit_code == 0
    assert content() == {"own.csv": b"own"}

"""A file in one of several places, and a dataset's fallback: only "not there" leads to the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.downloads.fetching import FOLDER, content, fetch, fetched, forget_files, locked, refused, sha256, tar
from tests.downloads.loopback import Web

LABELS = b"cell,type\n"


def attempts() -> list[tuple[str, str]]:
    tried = json.loads((FOLDER / "attempts.json").read_text())["labels.csv"]
    return [(one["kind"], one["outcome"]) for one in tried]


def places(web: Web, *others: dict[str, Any], **item: Any) -> dict[str, Any]:
    gone = web.put("/gone.csv", status=404)
    return {"labels.csv": {"url": gone, "fallback": list(others), **item}}


def test_the_first_place_that_has_the_file_gives_it_and_the_next_run_asks_nobody(web: Web) -> None:
    second = {"kind": "local", "path": "data/manual/labels.csv", "where": "ask the authors"}
    archive = {"kind": "http", "url": web.put("/all.tar", tar({"a": b""})), "member": "labels.csv"}
    last = {"url": web.put("/labels.csv", LABELS)}
    files = places(web, second, archive, last, {"url": f"{web.url}/never"})
    output = fetch("http", files)
    before = content()
    assert before["labels.csv"] == LABELS
    assert attempts() == [("http", "not there"), ("local", "not there"), ("http", "not there"), ("http", "used")]
    assert "labels.csv (local data/manual/labels.csv): no such file; to get it: ask the authors" in output
    assert "all.tar: has no member 'labels.csv'" in output
    assert not any(request.path == "/never" for request in web.server.requests)
    assert locked()["data/demo/labels.csv"]["place"] == f"http {web.url}/labels.csv"
    web.forget()
    fetched("http", files, before)
    assert not web.server.requests


def test_a_local_file_that_comes_later_goes_first(web: Web) -> None:
    url = web.put("/labels.csv", LABELS)
    files = {"labels.csv": {"kind": "local", "path": "labels.csv", "fallback": [{"kind": "http", "url": url}]}}
    fetch("http", files)
    assert attempts() == [("local", "not there"), ("http", "used")]
    Path("labels.csv").write_bytes(b"mine")
    fetch("http", files)
    assert (content()["labels.csv"], attempts()) == (b"mine", [("local", "used")])


def test_an_optional_file_that_the_lock_knows_is_not_silently_left_out(web: Web) -> None:
    files = {"labels.csv": {"url": web.put("/labels.csv", LABELS), "optional": True}}
    fetch("http", files)
    web.put("/labels.csv", status=404)
    forget_files()
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
    fetch("http", files)
    assert set(content()) == {"attempts.json"}


def test_a_sha256_holds_for_every_place(web: Web) -> None:
    files = places(web, {"url": web.put("/labels.csv", b"altered")}, sha256=sha256(LABELS))
    refused("http", files, f"/labels.csv: what came has sha256 {sha256(b'altered')}, but {sha256(LABELS)} is expected")


def other(url: str) -> dict[str, Any]:
    return {"kind": "http", "files": {"other.csv": {"url": url}}}


def test_the_fallback_of_a_dataset_takes_its_place_with_a_note(web: Web) -> None:
    own = {"own.csv": {"url": web.put("/own.csv", status=404)}}
    fallback = other(web.put("/other.csv", b"other"))
    assert "its fallback takes its place" in fetch("http", own, fallback)
    assert json.loads(content()["fallback.json"]) == {"because": "it answered 404 (Not Found)"}
    assert set(content()) == {"other.csv", "fallback.json"}
    assert set(locked()) == {"data/demo.fallback/other.csv"}
    web.put("/own.csv", b"own")  # it is there again
    fetched("http", own, {"own.csv": b"own"}, fallback=fallback)


@pytest.mark.parametrize(("own", "also", "text"), [(503, 200, "/own.csv: it answered 503"), (404, 410, "/other.csv: ")])
def test_the_fallback_is_not_for_other_failures_and_may_be_gone_too(web: Web, own: int, also: int, text: str) -> None:
    fallback = other(web.put("/other.csv", b"other", status=also))
    refused("http", {"own.csv": {"url": web.put("/own.csv", status=own)}}, text, fallback=fallback)

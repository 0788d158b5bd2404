"""Files that may be in one of several places: the first that has it, and only "not there" leads to the next."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.downloads import lock as _lock
from genept.downloads import partial as _partial
from genept.downloads import retry as _retry
from tests.downloads.loopback import invoke, refusal
from tests.downloads.server import Server

LABELS, OTHER = b"cell,type\na,B cell\n", b"cell,type\na,T cell\n"
TARGET = Path("models/m/labels.csv")
WHERE = {"where": "ask the authors"}


def source(*candidates: dict[str, Any], **item: Any) -> dict[str, Any]:
    return {"files": {"labels.csv": {"candidates": list(candidates), **item}}}


def http(url: str, **item: Any) -> dict[str, Any]:
    return {"kind": "http", "url": url, **item}


def local(path: object, **item: Any) -> dict[str, Any]:
    return {"kind": "local", "path": str(path), **item}


def attempts(target: str = "labels.csv") -> list[tuple[str, str]]:
    """Return the kind and the outcome of each attempt."""
    noted = json.loads(Path("models/m/attempts.json").read_text(encoding="utf-8"))
    return [(attempt["kind"], attempt["outcome"]) for attempt in noted[target]]


def put_listings(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in (("ZENODO", ""), ("FIGSHARE", "/v2"), ("GEO", ""), ("SCP", "/scp")):
        monkeypatch.setenv(f"{name}_URL", web.url + path)
    monkeypatch.setenv("SCP_TOKEN", "code")
    file = {"key": "a.csv", "checksum": "", "links": {"self": f"{web.url}/a.csv"}}
    web.put("/api/records/7", json.dumps({"files": [file]}).encode())
    web.put("/v2/articles/7/files", json.dumps([{"id": 1, "name": "a.csv", "download_url": "http://x"}]).encode())
    web.put("/scp/api/v1/bulk_download/generate_curl_config", f'url="{web.url}/a.csv"\noutput="SCP7/a.csv"'.encode())
    web.put("/a.csv.gz", gzip.compress(b"a"))


def test_the_first_place_that_has_a_file_gives_it_and_every_attempt_is_noted(web: Server) -> None:
    gone, here = web.put("/gone.csv", status=404), web.put("/labels.csv", LABELS)
    result = invoke(source(http(gone), local("mine.csv", **WHERE), http(here), http(f"{web.url}/never")))
    assert result.exit_code == 0, result.output
    assert TARGET.read_bytes() == LABELS
    assert json.loads(Path("models/m/attempts.json").read_text(encoding="utf-8")) == {
        "labels.csv": [
            {"kind": "http", "where": f"kind http, url {gone}", "outcome": "it answered 404 (Not Found)"},
            {"kind": "local", "where": "kind local, path mine.csv", "outcome": "no such file"},
            {"kind": "http", "where": f"kind http, url {here}", "outcome": "taken"},
        ]
    }
    assert result.output.splitlines()[:3] == [
        f"models.m: labels.csv (kind http, url {gone}): it answered 404 (Not Found)",
        "models.m: labels.csv (kind local, path mine.csv): no such file; to get it: ask the authors",
        f"models.m: labels.csv (kind http, url {here}): taken",
    ]
    assert not any("never" in path for path, _ in web.asked)


def test_the_note_is_the_same_on_every_machine(web: Server, project: Path) -> None:
    (project / "mine").mkdir()
    places = (local(project / "no.csv"), local("a.csv", folder=str(project / "mine")), http(web.put("/l.csv", LABELS)))
    notes = set()
    for _ in range(2):
        assert invoke(source(*places)).exit_code == 0
        notes.add(Path("models/m/attempts.json").read_text(encoding="utf-8"))
    (note,) = notes
    assert str(project) not in note
    assert "path .../no.csv" in note and "folder .../mine" in note


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"kind": "http", "url": "{web}/a", "mirrors": ["{web}/b"]}, "it answered 404 (Not Found)"),
        ({"kind": "http", "url": "{web}/410"}, "it answered 410 (Gone)"),
        ({"kind": "http", "url": "{web}/a.csv.gz", "member": "b.csv"}, "a.csv.gz: has no member 'b.csv'"),
        ({"kind": "zenodo", "record": 8, "name": "a.csv"}, "it answered 404 (Not Found)"),
        ({"kind": "zenodo", "record": 7, "name": "b.csv"}, "Zenodo record 7 has no file 'b.csv'"),
        ({"kind": "figshare", "article": 7, "name": "b.csv"}, "figshare article 7 has no file 'b.csv'"),
        ({"kind": "geo", "accession": "GSE7", "name": "b.csv"}, "it answered 404 (Not Found)"),
        ({"kind": "scp", "study": "SCP7", "name": "b.csv"}, "SCP7: the study has no file b.csv"),
        ({"kind": "local", "path": "b.csv"}, "no such file"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_what_is_not_there_is_passed_over(
    web: Server, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any], reason: str
) -> None:
    put_listings(web, monkeypatch)
    web.put("/410", status=410)
    place = json.loads(json.dumps(place).replace("{web}", web.url))
    result = invoke(source(place, http(web.put("/labels.csv", LABELS))))
    assert result.exit_code == 0, result.output
    assert attempts() == [(place["kind"], reason), ("http", "taken")]


@pytest.mark.parametrize("how", [{"status": 403}, {"status": 429}, {"status": 503}, {"content": b"<html>Sign in"}])
def test_any_other_failure_stops(web: Server, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    """Else the result would depend on the weather."""
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    places = source(http(web.put("/a.csv", **how)), http(web.put("/labels.csv", LABELS)), optional=True)
    assert f"{web.url}/a.csv: it answered " in refusal(invoke(places))
    assert not Path("models/m").exists()
    web.put("/a.csv", OTHER)
    assert invoke(places).exit_code == 0
    assert TARGET.read_bytes() == OTHER


@pytest.mark.parametrize(
    "place",
    [
        {"kind": "http", "url": "http://127.0.0.1:9/a"},
        {"kind": "http", "url": "{web}/gone", "mirrors": ["{web}/503"]},
        {"kind": "http", "url": "{web}/503", "mirrors": ["{web}/gone"]},
        {"kind": "http", "url": "{web}/half.csv.gz", "member": "half.csv"},
        {"kind": "http", "url": "{web}/a.csv.gz", "sha256": "0" * 64},
        {"kind": "zenodo", "record": 9, "name": "a.csv"},
        {"kind": "local", "path": "folder"},
    ],
    ids=["no network", "mirror", "other mirror", "damaged", "hash", "restricted", "folder"],
)
def test_so_does_what_could_still_be_there(web: Server, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any]) -> None:
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    put_listings(web, monkeypatch)
    web.put("/api/records/9", b'{"files": []}')
    web.put("/503", status=503)
    web.put("/half.csv.gz", gzip.compress(os.urandom(99))[:50])
    Path("folder").mkdir()
    place = json.loads(json.dumps(place).replace("{web}", web.url))
    refusal(invoke(source(place, http(web.put("/labels.csv", LABELS)))))


def test_without_any_place_the_error_names_all_and_what_to_do(web: Server, project: Path) -> None:
    gone = web.put("/gone.csv", status=404)
    result = invoke(source(http(gone), local("mine.csv", **WHERE)))
    assert result.exit_code == 1
    line = result.output.splitlines()[-1]
    assert line.startswith(
        "Error: models.m: labels.csv is in none of 2 places, give another one, or `optional: true`: "
    )
    assert f"(1) {gone}: it answered 404 (Not Found)" in line
    assert f"(2) {project}/mine.csv: no such file; to get it: ask the authors. Then put it into the folder" in line
    assert not Path("models/m").exists()


def test_an_optional_file_may_be_nowhere(web: Server) -> None:
    places = source(http(web.put("/gone.csv", status=404)), local("mine.csv"), optional=True)
    places["files"]["counts"] = http(web.put("/counts", b"1"))
    result = invoke(places)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("models/m").iterdir()) == ["attempts.json", "counts"]
    assert [outcome for _, outcome in attempts()] == ["it answered 404 (Not Found)", "no such file"]
    Path("mine.csv").write_bytes(LABELS)
    result = invoke(places)
    assert TARGET.read_bytes() == LABELS
    digest = hashlib.sha256(LABELS).hexdigest()
    assert f"add under models.m.source.files.labels.csv:  sha256: {digest}" in result.output


def test_the_lock_holds_for_a_file_wherever_it_comes_from(web: Server) -> None:
    first = source(http(web.put("/a.csv", LABELS)), http(web.put("/b.csv", OTHER)), local("mine.csv"))
    assert "First download of models.m/labels.csv" in invoke(first).output
    before = yaml.safe_load(_lock.PATH.read_text())
    assert list(before) == ["models.m/labels.csv"]
    Path("mine.csv").write_bytes(OTHER)
    for address in ("/a.csv", "/b.csv"):
        web.put(address, status=404)
        result = invoke(first)
        assert result.exit_code == 1
        assert "Error: models.m/labels.csv is not the file that came first" in result.output
        assert TARGET.read_bytes() == LABELS
    Path("mine.csv").write_bytes(LABELS)
    assert invoke(first).exit_code == 0
    assert yaml.safe_load(_lock.PATH.read_text()) == before


def test_a_hash_beside_the_candidates_is_for_all_and_one_in_a_place_for_that(web: Server) -> None:
    place = http(web.put("/a.csv", LABELS), sha256=hashlib.sha256(LABELS).hexdigest())
    assert invoke(source(place, sha256="0" * 64)).exit_code == 0
    assert not _lock.PATH.exists()
    Path("mine.csv").write_bytes(LABELS)
    result = invoke(source(local("mine.csv"), sha256="0" * 64))
    assert "Error: models.m: labels.csv (kind local, path mine.csv) has sha256" in result.output


def test_candidates_may_take_their_kind_from_the_source(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put_listings(web, monkeypatch)
    web.put("/a.csv", LABELS)
    places = {"kind": "zenodo", "record": 7, **source({"name": "b.csv"}, {"name": "a.csv"})}
    assert invoke(places).exit_code == 0
    assert attempts() == [("zenodo", "Zenodo record 7 has no file 'b.csv'"), ("zenodo", "taken")]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"candidates": []}, "models.m.source.files.labels.csv.candidates must be a list of places"),
        ({"candidates": {"kind": "http"}}, "candidates must be a list of places"),
        ({"candidates": ["http://a.invalid"]}, "candidates must be a list of places"),
        ({"candidates": [{"url": "http://a.invalid"}]}, "has no source with a kind"),
        ({"candidates": [{"kind": "htp"}]}, "no kind 'htp'; did you mean 'http'?"),
        ({"candidates": [{"kind": "http", "optional": True}]}, "neither candidates nor optional of its own"),
        ({"candidates": [{"kind": "http"}], "optional": "yes"}, "optional must be true or false"),
        ({"kind": "http", "url": "http://a.invalid", "optional": True}, "optional must be true or false, beside"),
    ],
)
def test_candidates_described_wrongly_are_refused_before_anything_is_asked(item: dict[str, Any], text: str) -> None:
    assert text in refusal(invoke({"files": {"labels.csv": item}}), exit_code=2)


def test_the_notes_name_is_taken() -> None:
    places = {**source(local("a"))["files"], "attempts.json": local("b")}
    assert "choose another name than attempts.json" in refusal(invoke({"files": places}), exit_code=2)


def test_what_came_from_one_kind_is_kept_while_another_fails(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of gigabytes from one place, labels from another that fails: the counts come once."""
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    put_listings(web, monkeypatch)
    web.put("/geo/series/GSEnnn/GSE7/suppl/counts", b"counts")
    files = {"a/counts": {"name": "counts"}, "labels.csv": http(web.put("/labels.csv", LABELS, status=503))}
    places = {"kind": "geo", "accession": "GSE7", "files": files}
    assert "it answered 503" in refusal(invoke(places))
    assert not Path("models/m").exists()
    web.put("/labels.csv", LABELS)
    web.served = 0
    assert invoke(places).exit_code == 0
    assert web.served == len(LABELS)
    assert Path("models/m/a/counts").read_bytes() == b"counts" and TARGET.read_bytes() == LABELS
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def test_a_wrong_file_is_not_kept_while_another_fails(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "ATTEMPTS", 1)
    put_listings(web, monkeypatch)
    places = {"files": {"a": http(web.put("/a", b"a")), "b": {"kind": "scp", "name": "a.csv"}}, "study": "SCP7"}
    web.put("/a.csv", LABELS)
    assert invoke(places).exit_code == 0
    web.put("/a", b"another")
    web.put("/a.csv", status=503)
    refusal(invoke(places))
    web.put("/a.csv", LABELS)
    assert "models.m/a is not the file that came first" in refusal(invoke(places))
    web.put("/a", b"a")
    assert invoke(places).exit_code == 0

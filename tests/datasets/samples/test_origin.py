"""Whose labels they are: a table that somebody put on this machine is not called the authors'."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from genept.data import cells
from genept.datasets import origin
from tests.datasets.samples.made import FILES, RAW, assert_refused, run, write_params

OWN = {"kind": "local", "path": "data/manual/aorta/labels.csv"}
PUBLISHED = {"kind": "http", "url": "https://example.org/labels.csv"}


def labels_from(*candidates: dict[str, Any], **changes: Any) -> None:
    """Let the table of labels come from one of several places; the counts come from GEO."""
    files = {**FILES, "labels.csv": {"candidates": list(candidates), "optional": True}}
    write_params(source={"kind": "geo", "accession": "GSE1", "files": files}, **changes)


def note(*outcomes: str) -> None:
    """What `genept.downloads` notes of the places of the table."""
    attempts = [{"kind": "any", "where": "any", "outcome": outcome} for outcome in outcomes]
    (RAW / "attempts.json").write_text(json.dumps({"labels.csv": attempts}))


def record() -> dict[str, Any]:
    result = run()
    assert result.exit_code == 0, result.output
    return json.loads(Path("metrics/verification/aorta.json").read_text())


def test_of_a_table_that_was_put_there_by_hand_the_record_names_path_and_sha256(project: Path) -> None:
    labels_from(PUBLISHED, OWN)
    note("404 (Not Found)", "taken")
    found = record()
    assert found["label_source"] == "user"
    digest = hashlib.sha256((RAW / "labels.csv").read_bytes()).hexdigest()
    assert found["labels_from"] == {"path": "data/manual/aorta/labels.csv", "sha256": digest}
    uns = {"x": "counts", "label_source": "user", "labels_from": found["labels_from"]}
    assert cells.read("aorta").uns == uns == cells.read("aorta", "rest").uns


def test_a_published_table_is_the_authors_though_ones_own_could_take_its_place(project: Path) -> None:
    labels_from(PUBLISHED, OWN)
    note("taken")
    found = record()
    assert found["label_source"] == "author" and "labels_from" not in found


def test_who_has_the_authors_own_table_says_so(project: Path) -> None:
    labels_from(OWN, label_source="author")
    found = record()
    assert found["label_source"] == "author" and found["labels_from"]["path"] == OWN["path"]


@pytest.mark.parametrize("outcomes", [None, ["404 (Not Found)"]])
def test_a_folder_that_does_not_say_which_place_was_taken_is_refused(project: Path, outcomes: list[str] | None) -> None:
    labels_from(PUBLISHED, OWN)
    if outcomes:
        note(*outcomes)
    assert_refused("data/aorta/raw/attempts.json: does not say which place labels.csv was taken from; fetch it again")


@pytest.mark.parametrize(
    ("source", "item", "paths"),
    [
        ({"kind": "local"}, {"path": "a/b.csv"}, ("a/b.csv",)),
        ({"kind": "local", "folder": "mine"}, {"path": "b.csv"}, ("mine/b.csv",)),
        ({"kind": "local"}, {"path": "/home/me/b.csv"}, (".../b.csv",)),
        ({"kind": "http"}, {"url": "x"}, (None,)),
        ({"kind": "gdrive", "folder": "1Lg"}, {"candidates": [{"name": "x"}, OWN]}, (None, OWN["path"])),
        ({"kind": "local", "folder": "m"}, {"candidates": [{"path": "x"}, PUBLISHED]}, ("m/x", None)),
        ({"kind": "geo"}, {"kind": "local", "folder": "m", "candidates": [{"path": "x"}, PUBLISHED]}, ("m/x", None)),
    ],
)
def test_the_places_on_this_machine_are_known(
    source: dict[str, Any], item: dict[str, Any], paths: tuple[str | None, ...]
) -> None:
    assert origin.local_paths({**source, "files": {"labels.csv": item}}, "labels.csv") == paths

"""The view of the datasets: what their verification records say, and nothing in them read as HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from genept.core.files import write_json
from genept.report.printing import NONE
from genept.webpage import data
from tests.helpers import ROOT
from tests.report.made import annotation, write_record
from tests.report.vessel import GENES, rows_of, write_pair
from tests.webpage.views import parsed, words

HOSTILE = "<script>alert(1)</script> & \"'`{{ 1 }}"
LONG = "long " * 39 + "label"


def table(page: BeautifulSoup, caption: str) -> list[list[str]]:
    """The body of a table by its caption."""
    (found,) = [one for one in page("table") if one.caption and words(one.caption) == caption]
    return [[words(cell) for cell in line(["th", "td"])] for line in found.tbody("tr")] if found.tbody else []


def test_the_committed_records_are_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = parsed(data.view)
    for path in Path("metrics/verification").glob("*.json"):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        name = record["dataset"]
        files = [[file, one["sha256"]] for file, one in record["files"].items()]
        assert table(page, f"Files of {name}") == files
        numbers = {int(line[1].replace(",", "")) for line in table(page, f"Cells of {name}")}
        assert numbers == {n for n in record["cells"].values() if n}
        checked = {line[0]: line[1:] for line in table(page, f"Found and expected in {name}")}
        for key, one in record["checked"].items():
            assert checked[key][0] == f"{one['found']:,}" and checked[key][2] == ("yes" if "match" in one else NONE)
        for key, one in record["annotations"].items():
            shown = {line[0]: line[1:] for line in table(page, f"{key} of {name}")}
            evaluated = one["evaluated_cells"]
            assert shown == {label: [f"{n:,}", f"{evaluated.get(label, 0):,}"] for label, n in one["all_cells"].items()}
        text = words(page)
        assert all(f"{old} → {new}" in text for old, new in record["genes"]["renamed"].items())
        assert all(note in text for note in record["notes"])


@pytest.mark.usefixtures("stand_ins")
def test_foreign_text_is_text() -> None:
    labels = annotation(HOSTILE, 2) | {"all_cells": {HOSTILE: 5, LONG: 4}, "evaluated_cells": {HOSTILE: 3}}
    genes = {"n_genes": 2, "renamed": {HOSTILE: LONG}, "unknown": [HOSTILE]}
    genes |= {key: [] for key in ("ambiguous", "collisions", "dropped_duplicates")}
    hostile = {"title": HOSTILE, "note": HOSTILE, "notes": [HOSTILE], "annotations": {"cell_type": labels}}
    write_record("blood", genes=genes, files={HOSTILE: {"sha256": "0"}}, **hostile)
    page = parsed(data.view)
    assert not page("script")
    assert table(page, "cell_type of blood") == [[HOSTILE, "5", "3"], [LONG, "4", "0"]]
    assert table(page, "Files of blood") == [[HOSTILE, "0"]]
    assert f"{HOSTILE} → {LONG}" in words(page) and words(page).count(HOSTILE) >= 7


@pytest.mark.usefixtures("papers")
def test_unknown_genes_of_each_model_stand_beside_others_counts() -> None:
    write_pair("vessel", "pca", [*rows_of("cell_type"), *GENES[:2]])
    lines = table(parsed(data.view), "Genes of vessel that models do not know")
    elsewhere = "5,665 of 23,331 (the authors' notebook)"
    assert lines == [
        ["pca", "23,331", "5,501 (23.6%)", NONE, NONE],
        ["text_w", "23,331", "5,501 (23.6%); 5,665 by exact name", "4.3%", elsewhere],
    ]


@pytest.mark.usefixtures("stand_ins")
def test_agreement_with_the_authors_and_what_others_report_stand_where_they_are() -> None:
    assert "against the authors" not in words(parsed(data.view))
    scores = {"ari": 0.731, "ami": 0.83, "accuracy": 0.904, "f1": 0.934}
    write_json(Path("metrics/annotation/blood/agreement.json"), scores)
    reported = [
        {"by": "the README", "what": "n_cells", "reported": 48001, "found": 48000, "match": False},
        {"by": "the README", "what": "cell_type", "reported": ["B", "T"], "found": ["T"], "match": False},
    ]
    attempts = {"labels.csv": [{"kind": "http", "where": "http gone", "outcome": "not there"}]}
    write_record("blood", reported=reported, attempts=attempts)
    page = parsed(data.view)
    assert table(page, "Cell types of blood by clusters and markers against the authors'") == [
        ["ARI (adjusted Rand index)", "0.731"],
        ["AMI (adjusted mutual information)", "0.830"],
        ["share of cells with the authors' type", "0.904"],
        ["F1, mean over the authors' types", "0.934"],
    ]
    assert table(page, "What others report of blood") == [
        ["the README", "n_cells", "48,001", "48,000", "no"],
        ["the README", "cell_type", "2 labels", "one label", "no"],
    ]
    assert "labels.csv: http gone (not there)" in words(page)

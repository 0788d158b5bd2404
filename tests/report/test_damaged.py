"""What the report reads from other stages, damaged in many ways: one line that names the file, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report import made

RECORD = "metrics/verification/blood.json"
SCORES, FULL = "metrics/scores/blood/text_w.json", "metrics/full/blood/text_w.csv"
MODELS, TEXT = "metrics/comparisons/blood/models.csv", "metrics/comparisons/blood/text.csv"


def record(**changes: Any) -> str:
    return json.dumps(json.loads(Path(RECORD).read_text()) | changes)


def replaced(path: str, old: str, new: str) -> str:
    text = Path(path).read_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("damaged"))
        made.write_project()
    return folder


@pytest.mark.parametrize(
    ("path", "change", "reason"),
    [
        (RECORD, lambda: "[]", "should be an object"),
        (RECORD, lambda: record()[:-20], "invalid JSON"),
        (RECORD, lambda: record(cells={"n_file": 1, "n_evaluated": 1}), "cells.n_scored is missing"),
        (RECORD, lambda: record(cells={"n_file": "1", "n_evaluated": 1, "n_scored": 1}), "cells.n_file: should be"),
        (RECORD, lambda: record(title=None), "title: should be a valid string"),
        (RECORD, lambda: record(annotations=[]), "annotations: should be"),
        (RECORD, lambda: record(checked={"n_genes": {"found": 1.5}}), "checked.n_genes.found: should be"),
        (RECORD, lambda: record(subset={"n_cells": 3}), "subset.seed is missing"),
        (RECORD, lambda: record(files={"raw": {}}), "files.raw.sha256 is missing"),
        (SCORES, lambda: '{"ari": NaN}', "ari: should be a finite number"),
        (SCORES, lambda: "{", "invalid JSON"),
        (FULL, lambda: replaced(FULL, "value", "score"), "no column value"),
        (FULL, lambda: replaced(FULL, "text_w", "other"), "model in row 1: 'other' instead of text_w"),
        (FULL, lambda: replaced(FULL, ",20,", ",twenty,"), "'twenty' is no count"),
        (FULL, lambda: "", "it is empty"),
        (MODELS, lambda: replaced(MODELS, "difference", "gap"), "no column difference"),
        (MODELS, lambda: Path(MODELS).read_text()[:-3], "its last line is cut"),
        (TEXT, lambda: replaced(TEXT, "n_draws", "draws"), "no column n_draws"),
    ],
)
def test_a_damaged_file_is_one_line(
    folder: Path, path: str, change: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = Path(path).read_bytes()
    Path(path).write_text(change())
    try:
        result = made.report(*([] if path == TEXT else ["--show"]))
    finally:
        Path(path).write_bytes(before)
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    assert result.output.startswith(f"Error: {path}: not what ") and reason in result.output
    assert not list(Path("metrics").glob("*.md"))

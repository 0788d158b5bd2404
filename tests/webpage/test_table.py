"""The view Table: its packed columns give back the lines of ``metrics/full``, and words stand for codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from genept.core import params
from genept.core.errors import InputError
from genept.metrics.results import COLUMNS
from genept.report import pairs
from genept.webpage import render, table
from tests.helpers import ROOT
from tests.report import made

LABEL = '</script> "B", & $x$ 🧬\n<b>'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made.write_project()
    return tmp_path


def packed() -> str:
    """Return the data of the view of the run in the working folder, as the page has it."""
    run = pairs.read(params.load())
    return render.as_json(table.packed(table.read(run), run.params))


def lines_of(columns: list[dict[str, Any]]) -> list[list[str]]:
    """Unpack columns, the names first."""
    unpacked = []
    for column in columns:
        lengths = column.get("lengths", [1] * len(column["codes"]))
        places = [code for code, length in zip(column["codes"], lengths, strict=True) for _ in range(length)]
        unpacked.append([column["name"], *(column["texts"][place] for place in places)])
    return [list(line) for line in zip(*unpacked, strict=True)]


def lines_of_files() -> list[list[str]]:
    """Read the files of all pairs in the order of the grid, the heading once."""
    lines = [COLUMNS]
    for dataset, model in params.load().pairs():
        with Path(f"metrics/full/{dataset}/{model}.csv").open(newline="", encoding="utf-8") as stream:
            heading, *of_file = csv.reader(stream)
        assert heading == COLUMNS
        lines += of_file
    return lines


def test_columns_give_back_the_lines_of_the_files(project: Path) -> None:
    row = made.row("knn", "cell_type", "f1", 1.0, note=LABEL, **{"class": LABEL})
    made.write_pair("blood", "expression", [*made.rows_of("cell_type", 0.1), row])
    lines = lines_of_files()
    assert LABEL in {line[COLUMNS.index("class")] for line in lines}
    assert lines_of(json.loads(packed())) == lines


def test_the_default_grid_is_whole_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = packed()
    assert lines_of(json.loads(text)) == lines_of_files()
    assert len(text.encode()) < 250_000


def test_each_code_of_a_choice_has_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    columns = {column["name"]: column for column in json.loads(packed())}
    words = {name: dict(zip(columns[name]["texts"], columns[name]["words"], strict=True)) for name in ("task", "split")}
    assert words["task"]["knn"] == "10 nearest neighbours" and words["split"][""] == "all cells"
    assert {name for name, column in columns.items() if column["filters"]} == set(table.FILTERS) - {"protocol"}
    for name in table.FILTERS:
        shown = columns[name].get("words", columns[name]["texts"])
        assert len(set(shown)) == len(columns[name]["texts"]), name


def test_a_line_of_another_length_is_an_error(project: Path) -> None:
    run, path = pairs.read(params.load()), Path("metrics/full/tumour/text_w.csv")
    path.write_text(f"{path.read_text()}tumour,text_w\n")
    with pytest.raises(InputError, match=r"tumour/text_w.csv: not what evaluate writes .row 1.. has 2 fields"):
        table.read(run)

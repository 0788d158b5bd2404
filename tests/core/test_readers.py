"""Files that stages hand each other and that are damaged: one line that names the file, the reason and the stage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import FiniteFloat

from genept.core.errors import InputError
from genept.core.readers import Reader, count, exactly, number, optional, read_json, read_table, rows_of

SOUND = "name,n,value\na,1,0.5\nb,2,\n"
COLUMNS: dict[str, Reader] = {"name": str, "n": count, "value": optional(number)}


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as error:
        read()
    message = error.value.message
    assert "\n" not in message and len(message) < 400
    return message


def test_a_sound_table_has_typed_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(SOUND)
    table = read_table(path, COLUMNS, "evaluate@a", key="name")
    assert table == {"name": ["a", "b"], "n": [1, 2], "value": [0.5, None]}
    assert list(rows_of(table))[1] == {"name": "b", "n": 2, "value": None}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("name,n\na,1\n", "no column value"),
        ("name,n,value\n", "no row below the heading"),
        (SOUND[:-1], "its last line is cut"),
        (SOUND + "c,3\n", "row 3 has 2 fields, the heading 3"),
        (SOUND + "c,3,4,5\n", "row 3 has 4 fields"),
        (SOUND + "c,three,4\n", "n in row 3: 'three' is no count"),
        (SOUND + "c,-3,4\n", "n in row 3: '-3' is no count"),
        (SOUND + "c,3,nan\n", "value in row 3: 'nan' is no finite number"),
        (SOUND + "c,3,-inf\n", "value in row 3: '-inf' is no finite number"),
        (SOUND + "c,3,1_000\n", "value in row 3: '1_000' is no finite number"),
        (SOUND + "c,3,much\n", "value in row 3: could not convert"),
        (SOUND + "a,3,4\n", "two rows have the same name"),
        (SOUND.replace("value", "value,n").replace("\na,1,", "\na,1,2,").replace("b,2,", "b,2,3,"), "two columns have"),
        (SOUND + '"c,3,4\n', "unexpected end of data"),
        (b"\xff" + SOUND.encode(), "can't decode byte"),
        ("<html>\n" * 1000, "no column name, n, value"),
        (None, ""),
        (os.mkdir, "no ordinary file"),
        (os.mkfifo, "no ordinary file"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path: Path, text: Any, reason: str) -> None:
    path = tmp_path / "table.csv"
    if callable(text):
        text(path)
    elif text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(lambda: read_table(path, COLUMNS, "evaluate@a", key="name", may_be_empty=False))
    ending = "`dvc repro --force --single-item evaluate@a` makes it again" if text is not None else ""
    assert message.startswith(f"{path}: ") and reason in message and message.endswith(ending)
    assert ending or message.endswith("no such file; `dvc repro evaluate@a` makes it")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"ari": 0.5', "invalid JSON"),
        ("", "invalid JSON"),
        ("[]", "should be an object"),
        ("null", "should be an object"),
        ('{"ari": "0.5"}', "ari: should be a valid number, got '0.5'"),
        ('{"ari": true}', "ari: should be a valid number"),
        ('{"ari": null}', "ari: should be a valid number"),
        ('{"ari": NaN}', "ari: should be a finite number"),
        ('{"ari": [0.5]}', "ari: should be a valid number"),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_damaged_json_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    message = refusal(lambda: read_json(path, dict[str, FiniteFloat], "label@a"))
    assert reason in message and message.startswith(f"{path}: not what label writes")


def test_a_committed_file_is_restored_by_git(tmp_path: Path) -> None:
    path = tmp_path / "trainings.csv"
    assert "`git checkout" in refusal(lambda: read_table(path, {}, "bench.trainings"))
    path.write_text("a\nb\n")
    columns = {"a": exactly("x", "y")}
    message = refusal(lambda: read_table(path, columns, "bench.trainings"))
    assert "not what `python -m bench.trainings` writes (a in row 1: 'b' instead of x or y); `git checkout" in message

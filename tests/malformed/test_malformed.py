"""Malformed inputs of every stage: one clear line or the right result, never a traceback, a crash, a hang, half a file.

Each case is a stage, a change to a copy of a finished project, the exit code and a pattern in the error line. After an
error every file is as it was. After a success too, unless a check says what is right.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.malformed import project
from tests.malformed.case import Case
from tests.malformed.cells import OF_CELLS, OF_LABELS
from tests.malformed.handed_on import HANDED_ON
from tests.malformed.models import OF_CHECKPOINTS, OF_MODELS, OF_SETTINGS
from tests.malformed.sources import COMMANDS, OF_SOURCES

NOT_COMPARED = {"cache", "downloads", "tmp"}  # folders of what may be made again at any time
LONGEST = 1500  # characters of an error
CASES = [
    *HANDED_ON,
    *OF_CELLS,
    *OF_LABELS,
    *OF_SETTINGS,
    *OF_MODELS,
    *OF_CHECKPOINTS,
    *OF_SOURCES,
    *(Case("-", stage, lambda: None, code, text) for code, row in COMMANDS.items() for stage, text in row.items()),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[project.Server]:
    server = project.Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def finished(server: project.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = Path.cwd()
    yield project.build(tmp_path_factory.mktemp("finished") / "project", server)
    os.chdir(before)


@pytest.fixture(scope="module")
def copy(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> project.Copy:
    return project.Copy(finished, tmp_path_factory.mktemp("copy") / "project")


def symptom(case: Case, server: project.Server, copy: project.Copy) -> str:
    """Change the project, run the stage, and say what is wrong with what it does; empty if nothing is."""
    case.change()
    before = copy.look()
    status, output = server.run(copy.folder, *case.stage.split())
    after = copy.look()
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    changed = sorted(name for name in touched if not NOT_COMPARED & {*Path(name).parts} and not copy.is_same(name))
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    if "Traceback" in output or status not in (0, 1, 2):
        return f"{status}: {output[-300:]}"
    if status != case.code:
        return f"exit code {status}, expected {case.code}: {output[-300:]}"
    if left := [name for name in after if ".writing-" in name]:
        return f"left {left}"
    if case.check:
        case.check(copy.finished)
    elif changed:
        return f"changed {changed[:9]}"
    if status and (len(errors) != 1 or len(errors[0]) > LONGEST):
        return f"{len(errors)} lines, {len(output)} characters: {output[:300]}"
    if status and not re.search(case.text, errors[0]):
        return f"says nothing of {case.text!r}: {errors[0]}"
    return ""


def identify(case: Case) -> str:
    return f"{case.stage}-{case.name}"


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_malformed_inputs_are_one_line_or_right(
    case: Case, server: project.Server, copy: project.Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    try:
        assert not symptom(case, server, copy)
    finally:
        copy.restore()

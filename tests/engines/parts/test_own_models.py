"""Models of users by parts: what they change, give or read must not move other parts, nor stay where it is wrong."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import files
from genept.engines import finished
from tests.engines.parts import blood
from tests.engines.parts.blood import CACHE, N_PARTS, embed, kept, run

BEGINNING = blood.BY_PARTS[: blood.BY_PARTS.index("def embed")]
EMBED = """
def embed(cells, folder, config, device):
    {lines}
    return np.full((cells.n_obs, 1), value, dtype=float), {{}}
"""
SUMS = """
def add(cells, sums, config):
    {add}

def survey(cells, sums, config):
    {survey}
"""


def model(lines: str, add: str = "", survey: str = "") -> None:
    """Write a model; of each cell it gives ``value``."""
    indented = {name: text.replace("\n", "\n    ") for name, text in (("add", add), ("survey", survey))}
    content = BEGINNING + EMBED.format(lines=lines.replace("\n", "\n    "))
    Path("models/mine.py").write_text(content + (SUMS.format(**indented) if survey else ""))


def values() -> list[float]:
    embed("mine")
    return sorted(set(np.load("data/blood/embeddings/mine.npy").ravel().tolist()))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("cells.var.iloc[0, 0] += 'x'\nvalue = len(cells.var.iloc[0, 0])", 16),
        ("cells.var['n'] = cells.var.get('n', 0) + 1\nvalue = cells.var['n'].iloc[0]", 1),
        ("cells.uns['mean'] *= 2\nvalue = cells.uns['mean'][0]", 6),
        ("cells.uns['names'].append('c')\nvalue = len(cells.uns['names'])", 3),
    ],
)
def test_what_a_model_changes_in_place_is_new_in_each_part(project: Path, lines: str, expected: float) -> None:
    model(lines, "sums['n'] = np.ones(1)", "return {'mean': np.full(1, 3.0), 'names': ['a', 'b']}")
    assert values() == [expected]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("return np.full((cells.n_obs, 1), np.nan), {}", "cells have NaN or infinite coordinates"),
        (
            "return np.zeros((cells.n_obs, 2)), {}",
            "blood: the model gave 2 dimensions for some cells, 1 dim",
        ),
        ("return np.zeros((cells.n_obs, 1)), {'kind': 3}", "kind differs between parts of the cells"),
        ("return np.zeros((cells.n_obs, 1)), {'kind': {'of': 3}}", "kind differs between parts of the cells"),
        ("return np.zeros((cells.n_obs, 1)), {'kind': 'a text'}", "kind differs between parts of the cells"),
        ("return np.zeros((cells.n_obs, 1)), {'kind': True}", "kind differs between parts of the cells"),
    ],
)
def test_what_is_refused_is_not_kept(project: Path, wrong: str, text: str) -> None:
    """Such as NaN of a graphics processor that fails once: the next run must not find it."""
    lines = "value = 1\nif cells.n_obs != 7:\n    return np.ones((cells.n_obs, 1)), {'kind': None}\n"
    model(f"{lines}if Path('glitch').exists():\n    {wrong}\nreturn np.ones((7, 1)), {{'kind': None}}")
    path = Path("models/mine.py")
    path.write_text(f"from pathlib import Path\n{path.read_text()}")
    Path("glitch").touch()
    for _ in range(2):
        result = run("mine")
        assert result.exit_code == 1 and text in result.output.splitlines()[-1], result.output
        assert len(kept("mine")) == N_PARTS - 1
    Path("glitch").unlink()
    embed("mine")


def test_sums_of_other_names_are_said_and_those_that_are_whole_stay(project: Path) -> None:
    model("value = 1", "sums['late' if 'cell39' in cells.obs_names else 'n'] = np.ones(2)", "return {}")
    for _ in range(2):
        result = run("mine")
        line = "Error: mine on blood: add: for some cells it gave other sums than late (2); give the same for all"
        assert result.exit_code == 1 and result.output.splitlines()[-1] == line
        assert len(kept("mine")) == 2


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("cells.var", "survey: x: DataFrame"),
        ("{'a'}", "survey: x: set"),
        ("np.array([object()])", "survey: x: object"),
        ("float('nan')", "survey: x: nan"),
    ],
)
def test_what_a_survey_returns_has_to_be_data(project: Path, returned: str, text: str) -> None:
    model("value = 1", "sums['n'] = np.ones(1)", f"return {{'x': {returned}}}")
    result = run("mine")
    assert result.exit_code == 1 and text in result.output.splitlines()[-1], result.output


@pytest.mark.parametrize(
    ("add", "survey", "line"),
    [
        ("sums['n'] = np.ones(1)", "pass", "survey should return a dict, not NoneType"),
        ("sums['n'] = np.full(2, np.nan)", "return {}", "add: 'n' has become NaN or infinite"),
        ("sums['n'] = 1", "return {}", "add: 'n' should be an array of float64 of one dimension"),
    ],
)
def test_what_sums_and_a_survey_should_be_is_said(project: Path, add: str, survey: str, line: str) -> None:
    model("value = 1", add, survey)
    result = run("mine")
    assert result.exit_code == 1 and result.output.splitlines()[-1] == f"Error: mine on blood: {line}"


@pytest.mark.parametrize(
    "imported",
    ["from models import helper", "import helper", "import models.helper as helper", "from helper import VALUE"],
)
def test_a_module_beside_the_model_is_part_of_its_code(
    project: Path, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "code_sha256", lambda path: CODE_SHA256(path, project))
    for number in (1, 22):  # of other lengths, or Python would take the compiled file of the same second
        Path("models/helper.py").write_text(f"VALUE = {number}\n")
        name = "VALUE" if "VALUE" in imported else "helper.VALUE"
        lines = [
            "import sys",
            f"sys.path[:0] = [{str(project)!r}, {str(project / 'models')!r}]",
            "for name in ('helper', 'models.helper', 'models'):",
            "    sys.modules.pop(name, None)",
            imported,
            f"value = {name}",
            "del sys.path[:2]",
        ]
        model("\n".join(lines))
        assert values() == [number]


CODE_SHA256 = files.code_sha256


def test_files_in_a_linked_folder_are_the_models_own(project: Path) -> None:
    Path("elsewhere").mkdir()
    Path("models/mine").mkdir()
    Path("models/mine/weights").symlink_to(project / "elsewhere")
    model("value = float((folder / 'weights/w').read_text())")
    for number in (1.0, 2.0):
        Path("elsewhere/w").write_text(str(number))
        assert values() == [number]


def test_a_model_may_import_dask(project: Path) -> None:
    model("import dask.array\nvalue = 1")
    assert values() == [1]


def test_memory_holds_the_sums_of_one_group(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_bytes = 8 * 10_000_000
    model("value = 1", "if 'n' not in sums:\n    sums['n'] = np.zeros(10_000_000)", "return {}")
    embed("mine")
    files.remove(CACHE)
    peaks, write_sums = [], finished.write_sums

    def measured(*arguments: Any) -> None:
        write_sums(*arguments)
        peaks.append(tracemalloc.get_traced_memory()[1])

    monkeypatch.setattr(finished, "write_sums", measured)
    tracemalloc.start()
    embed("mine")
    tracemalloc.stop()
    assert len(peaks) == N_PARTS and peaks[-1] < 1.7 * n_bytes, peaks  # with a piece of a file that is added

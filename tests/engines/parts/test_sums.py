"""Sums over cells in parts: a run goes on behind those of an earlier one, and ends in the same bytes."""

from __future__ import annotations

import json
import random
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import files
from genept.core.errors import InputError
from genept.data.cells import Cells
from genept.engines import finished, sums
from genept.engines.network.job import DAMAGE
from genept.engines.work import Work
from stages.embed import main
from tests import children
from tests.engines.parts import blood
from tests.engines.parts.blood import CACHE, N_CELLS, embed, make, run, run_until, undisturbed, write, written

FOLDER = CACHE / "expression/parts"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of the first part of each group that is added up, in turn."""
    numbers: list[int] = []
    add_up = sums.add_up

    def counted(work: Work, cells: Cells, group: range, *rest: Any) -> sums.Sums:
        numbers.append(group.start)
        return add_up(work, cells, group, *rest)

    monkeypatch.setattr(sums, "add_up", counted)
    return numbers


def kept() -> list[Path]:
    """The files of sums, the oldest first."""
    found = [path for path in FOLDER.glob("*.npz") if "products.npy" in zipfile.ZipFile(path).namelist()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def test_sums_are_kept_and_further_cells_add_to_them(project: Path, added: list[int]) -> None:
    first = embed("expression")
    assert added == [0, 1, 2, 3] and len(kept()) == sums.KEPT
    used = json.loads((FOLDER / "used.json").read_text())
    assert {path.name for path in FOLDER.glob("*.npz")} == set(used)
    added.clear()
    assert embed("expression") == first and not added
    write(make(N_CELLS + 1))
    longer = embed("expression")
    assert added == [3], "the last part has one more cell"
    files.remove(CACHE)
    assert embed("expression") == longer


def test_groups_of_any_size_have_the_same_sums(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the rounding of float64, which moves few of the vectors' float32."""
    matrices = []
    for n_parts in (1, 2, 4, 9):
        monkeypatch.setattr(sums, "PARTS", n_parts)
        files.remove(CACHE)
        embed("expression")
        matrices.append(np.load("data/blood/embeddings/expression.npy"))
    for matrix in matrices[1:]:
        np.testing.assert_allclose(matrix, matrices[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_finished", [0, 1, 3])
def test_a_run_killed_behind_sums_goes_on_with_the_next(project: Path, added: list[int], n_finished: int) -> None:
    expected = undisturbed("expression")
    added.clear()
    ended = run_until("expression", n_finished, children.die)
    assert ended.code == -signal.SIGKILL and len(kept()) == min(n_finished, sums.KEPT)
    assert embed("expression") == expected and added == [0, 1, 2, 3][n_finished:]


def test_a_run_whose_sums_another_one_has_removed_goes_on_from_those_of_the_other(
    project: Path, added: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed("expression")
    added.clear()
    write_sums = finished.write_sums

    def overtaken(path: Path, found: sums.Sums) -> None:
        write_sums(path, found)
        if len(added) == 2:
            children.run(main, ["blood", "expression"])
            assert not path.exists()

    monkeypatch.setattr(finished, "write_sums", overtaken)
    assert embed("expression") == expected and added == [0, 1, 2], "the third is in vain, all are there"


def test_on_a_full_disk_finished_sums_stay(project: Path, added: list[int]) -> None:
    expected = undisturbed("expression")
    added.clear()
    ended = run_until("expression", 2, children.fill_disk)
    assert ended.code == 1 and "the disk is full" in ended.output.splitlines()[-1]
    assert embed("expression") == expected and added == [2, 3]


def test_damaged_sums_are_named_and_made_again(project: Path, added: list[int]) -> None:
    expected = undisturbed("expression")
    run_until("expression", 3, children.die)
    added.clear()
    last = kept()[-1]
    last.write_bytes(blood.cut(last.read_bytes(), random.Random(1)))
    result = run("expression")
    assert result.exit_code == 0 and written("expression") == expected
    assert f"{last}: damaged; its cells are added up again" in result.stderr and added == [2, 3]


def test_no_flipped_bit_passes_for_other_sums(tmp_path: Path) -> None:
    path, rng = tmp_path / "sums.npz", random.Random(1)
    one, two = {"a": np.arange(5.0), "b": np.ones(2)}, {"a": np.full(5, 0.5), "b": np.zeros(2)}
    finished.write_sums(path, one)
    together = {name: values.copy() for name, values in two.items()}
    finished.add_sums(path, together)
    for name in one:
        np.testing.assert_array_equal(together[name], one[name] + two[name])
        np.testing.assert_array_equal(finished.read_sums(path)[name], one[name])
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        found = {name: values.copy() for name, values in two.items()}
        try:
            finished.add_sums(path, found)
        except DAMAGE:
            continue
        except InputError:  # in a name or a length
            continue
        assert all((found[name] == together[name]).all() for name in found)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('sums["n"] = 3', "add: 'n' should be an array of float64 of one dimension"),
        ('sums["n"] = np.zeros((2, 2))', "add: 'n' should be an array of float64 of one dimension"),
        ("cells.x", "models/mine.py, line 24: AttributeError"),
    ],
)
def test_an_error_in_a_users_sums_is_one_line(project: Path, line: str, text: str) -> None:
    survey = "\ndef survey(cells, sums, config):\n    return {}\n"
    Path("models/mine.py").write_text(f"{blood.BY_PARTS}{survey}\ndef add(cells, sums, config):\n    {line}\n")
    result = run("mine")
    assert result.exit_code == 1 and text in result.output.splitlines()[-1], result.output

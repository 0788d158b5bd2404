"""Killed runs, full disks, damaged files: what is finished stays, and the bytes are the same in the end."""

from __future__ import annotations

import functools
import json
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from genept.core import files
from genept.data import embeddings
from genept.engines import finished
from genept.engines.network import job as jobs
from stages.embed import main
from tests import children
from tests.engines.parts.blood import (
    CACHE,
    N_CELLS,
    N_PARTS,
    cut,
    embed,
    flip,
    kept,
    no_temporary_files,
    remove_results,
    run,
    run_until,
    undisturbed,
    written,
)


@pytest.mark.parametrize("n_finished", [0, 1, 3])
def test_a_run_killed_behind_a_part_goes_on_with_the_next(project: Path, made: list[str], n_finished: int) -> None:
    expected = undisturbed("control")
    made.clear()
    ended = run_until("control", n_finished, children.die)
    assert ended.code == -signal.SIGKILL and len(kept("control")) == n_finished
    assert embed("control") == expected and len(made) == N_PARTS - n_finished
    assert no_temporary_files()


@pytest.mark.parametrize("model", ["control", "geneformer", "expression"])
def test_a_run_killed_at_any_moment_ends_in_the_same_bytes(project: Path, model: str) -> None:
    expected = undisturbed(model)
    with children.counting_calls() as n_calls:
        embed(model)
    remove_results()
    rng = random.Random(len(model))
    n_moments = n_calls()
    for share in (0.3, 0.6, 0.9):
        moment = int(n_moments * (share + rng.uniform(-0.1, 0.1)))
        ended = children.run(main, ["blood", model], functools.partial(children.kill_at, moment))
        assert ended.code in (-signal.SIGKILL, 0), ended.output  # what is left may be done earlier
    assert embed(model) == expected and no_temporary_files()


@pytest.mark.parametrize("model", ["control", "expression"])
def test_two_runs_at_once_write_the_same_bytes(project: Path, model: str) -> None:
    expected = undisturbed(model)
    runs = [children.Child(main, ["blood", model]) for _ in range(3)]
    for ended in [child.wait() for child in runs]:
        assert ended.code == 0, ended.output
    used = json.loads((CACHE / model / "parts/used.json").read_text())
    assert written(model) == expected and {path.name for path in kept(model)} == set(used) and no_temporary_files()


@pytest.mark.parametrize("model", ["control", "mine"])
def test_a_damaged_part_is_named_and_made_again(project: Path, made: list[str], model: str) -> None:
    expected, rng = embed(model), random.Random(7)
    for turn in range(6):
        made.clear()
        path = rng.choice(kept(model))
        content = path.read_bytes()
        path.write_bytes((cut if turn % 2 else flip)(content, rng))
        result = run(model)
        assert result.exit_code == 0 and written(model) == expected, result.output
        if made:  # else the byte was one that says nothing, such as a date in the archive
            assert made == [path.name]
            assert f"{path}: damaged; its cells are computed again" in result.stderr.splitlines()
        path.write_bytes(content)


def test_no_flipped_bit_of_a_part_passes_for_other_numbers(tmp_path: Path) -> None:
    """Also in what the archive says of itself: it may seem encrypted, or packed by an unknown method."""
    path = tmp_path / "part.npz"
    vectors, found = np.arange(12, dtype=np.float32).reshape(6, 2), {"n": 7}
    finished.write_part(path, vectors, found)
    content = path.read_bytes()
    rng = random.Random(1)
    for place in range(len(content)):
        for bit in rng.sample(range(8), 2):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            try:
                read, notes = finished.read_part(path)
            except jobs.DAMAGE:
                continue
            assert (read == vectors).all() and read.shape == vectors.shape and notes == found
    for length in range(0, len(content), 11):
        path.write_bytes(content[:length])
        with pytest.raises(jobs.DAMAGE):
            finished.read_part(path)


def test_a_part_that_is_damaged_before_all_are_joined_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = finished.write_part
    monkeypatch.setattr(finished, "write_part", lambda path, *rest: (write_part(path, *rest), path.write_bytes(b"no")))
    result = run("words")
    assert result.exit_code == 1 and "damaged meanwhile" in result.output and "Traceback" not in result.output
    assert not embeddings.matrix_path("blood", "words").exists()
    monkeypatch.undo()


@pytest.mark.parametrize("n_finished", [0, 2])
def test_on_a_full_disk_finished_parts_stay(project: Path, made: list[str], n_finished: int) -> None:
    expected = undisturbed("words")
    made.clear()
    ended = run_until("words", n_finished, children.fill_disk)
    *_, line = ended.output.splitlines()
    assert ended.code == 1 and "the disk is full" in line and "Traceback" not in ended.output
    assert len(kept("words")) == n_finished and no_temporary_files()
    assert not embeddings.matrix_path("blood", "words").exists()
    assert embed("words") == expected and len(made) == N_PARTS - n_finished


def test_a_disk_that_is_full_when_all_parts_are_joined_is_said(project: Path, made: list[str]) -> None:
    expected = embed("words")
    files.remove(embeddings.matrix_path("blood", "words").parent)
    made.clear()
    fill = functools.partial(children.on_call, 0, embeddings.Writer, "add", children.fill_disk)
    ended = children.run(main, ["blood", "words"], fill)
    assert ended.code == 1 and "the disk is full" in ended.output.splitlines()[-1], ended.output
    assert embed("words") == expected and not made


def test_more_than_the_disk_has_room_for_is_refused_before_the_work(
    project: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * N_CELLS * 30 * 4 - 1))
    result = run("words")
    assert result.exit_code == 1 and not made
    assert "needs 0.0 MB of disk, 0.0 MB are left; free some space" in result.output
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * N_CELLS * 30 * 4))
    embed("words")


def test_a_cache_that_one_must_not_write_to_is_one_line(project: Path) -> None:
    for path in [project, *project.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    CACHE.parent.mkdir(parents=True)
    CACHE.parent.chmod(0o555)
    ended = children.run(main, ["blood", "words"], children.become_nobody)
    CACHE.parent.chmod(0o755)
    line = f"Error: words on blood: {CACHE.parent}: cannot be written to, by its permissions"
    assert ended.code == 1 and ended.output.splitlines()[-1].startswith(line), ended.output
    assert no_temporary_files()
    assert not embeddings.matrix_path("blood", "words").exists()

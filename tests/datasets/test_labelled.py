"""Labelled cells in parts: the same cells as in one file, whenever a run is killed, and nothing that is damaged."""

from __future__ import annotations

import functools
import random
import shutil
import signal
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.core import files
from genept.data import cells, parts
from genept.datasets import labelled, matrix
from stages.label import main
from tests import children
from tests.datasets.made import (
    N_CELLS,
    RAW,
    RECORD,
    change,
    configure,
    invoke,
    make_cells,
    put,
    set_obs,
)

OWN, CORPUS = Path("data/mine/labelled"), Path("data/corpus/mine")
CACHE = labelled.CACHE / "mine"
SUBSET = {"n_cells": 25, "by": "patient", "seed": 1}
N_PARTS = 4  # of 60 cells, each of 17 and the last of 9


@pytest.fixture
def few(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose cells are in parts of 17."""
    monkeypatch.setattr(parts, "CELLS", 17)
    monkeypatch.setattr(cells, "IN_ONE_FILE", 20)
    return project


def label() -> None:
    result = invoke()
    assert result.exit_code == 0, result.output


def written() -> dict[str, bytes]:
    """Every file that the stage writes."""
    paths = [RECORD, *(path for folder in (OWN, CORPUS) for path in folder.rglob("*") if path.is_file())]
    return {path.as_posix(): path.read_bytes() for path in paths}


UNDISTURBED: dict[str, dict[str, bytes]] = {}  # by the dataset's file


def undisturbed() -> dict[str, bytes]:
    """What a run writes, of which nothing is on disk."""
    text = Path("data/mine.yaml").read_text()
    if text not in UNDISTURBED:
        label()
        UNDISTURBED[text] = written()
        remove_results()
    return UNDISTURBED[text]


def remove_results() -> None:
    for folder in (CACHE, OWN, CORPUS):
        shutil.rmtree(folder)
    RECORD.unlink()


def no_temporary_files() -> bool:
    return not list(Path().rglob(f"{files.WRITING}*"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of cells of each part that is written."""
    sizes: list[int] = []
    write_part = parts.write_part

    def counted(folder: Path, x: sp.csr_matrix, *rest: Any) -> None:
        sizes.append(x.shape[0])
        write_part(folder, x, *rest)

    monkeypatch.setattr(parts, "write_part", counted)
    return sizes


def logarithms() -> None:
    change(put("X", make_cells().layers["logged"]))
    configure(x="lognorm", subset=SUBSET)


def large_counts() -> None:
    def enlarge(data: anndata.AnnData) -> None:
        data.X = data.X.astype(np.float64)
        data.X.data[[3, 100]] = 70_000, 2**24

    change(enlarge)
    configure(subset=SUBSET)


def in_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((parts, "CELLS"), (cells, "IN_ONE_FILE")):
        monkeypatch.setattr(module, name, N_CELLS)


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table of texts, whether they are objects or categories."""
    return table.astype(str).astype(object)


@pytest.mark.parametrize("prepare", [logarithms, large_counts], ids=["lognorm", "counts"])
def test_cells_in_parts_are_those_of_one_file(
    few: Path, prepare: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    label()
    first, obs = written(), cells.read_obs("mine")
    assert [path.name for path in sorted(OWN.iterdir())] == [parts.MANIFEST, parts.OBS, parts.FOLDER, parts.VAR]
    assert "data/corpus/mine/manifest.json" in first
    in_parts = cells.of("mine"), cells.corpus_of("mine")
    wholes, shapes = [found.whole() for found in in_parts], [[part.n_obs for part in found] for found in in_parts]
    assert shapes == [[17, 8], [17, 17, 1]]
    for folder, found in zip((OWN, CORPUS), in_parts, strict=True):
        for path, part in zip(sorted((folder / parts.FOLDER).iterdir()), found, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read = anndata.read_zarr(path)
            assert list(read.obs_names) == list(part.obs_names) and read.X.has_sorted_indices
            np.testing.assert_array_equal(read.X.toarray().astype(np.float32), part.X.toarray())
            pd.testing.assert_frame_equal(as_texts(read.var), as_texts(part.var), check_index_type=False)
    shutil.rmtree(CACHE)
    label()
    assert written() == first, "equal runs give equal bytes"
    in_one_file(monkeypatch)
    label()
    assert [path.name for path in sorted(OWN.iterdir())] == [cells.IN_FILE, cells.OBS]
    pd.testing.assert_frame_equal(cells.read_obs("mine"), obs)
    for found, whole, expected in zip(in_parts, wholes, (cells.of("mine"), cells.corpus_of("mine")), strict=True):
        assert (found.shape, found.ids_sha256, found.uns) == (expected.shape, expected.ids_sha256, expected.uns)
        data = expected.whole()
        assert whole.X.dtype == data.X.dtype == np.float32 and whole.uns == data.uns
        np.testing.assert_array_equal(whole.X.toarray(), data.X.toarray())
        pd.testing.assert_frame_equal(as_texts(whole.obs), as_texts(data.obs), check_index_type=False)
        pd.testing.assert_frame_equal(as_texts(whole.var), as_texts(data.var), check_index_type=False)


def test_more_than_the_disk_has_room_for_is_refused_at_the_first_part(
    few: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    result = invoke()
    assert "mine: writing 60 cells in 4 parts; 0.0 MB of disk" in result.output
    assert result.exit_code == 1 and "needs 0.0 MB of disk, 0.0 MB are left; free some space" in result.output
    assert not OWN.exists() and not list(CACHE.glob("*.zarr"))


@pytest.mark.parametrize("n_finished", [0, 3])
def test_a_run_killed_behind_a_part_goes_on_with_the_next(few: Path, made: list[int], n_finished: int) -> None:
    expected = undisturbed()
    made.clear()
    die = functools.partial(children.on_call, n_finished, parts, "write_part", children.die)
    assert children.run(main, ["mine"], die).code == -signal.SIGKILL
    assert len(list(CACHE.glob("*.zarr"))) == n_finished and not OWN.exists()
    label()
    assert written() == expected and len(made) == N_PARTS - n_finished and no_temporary_files()


def test_a_run_killed_at_any_moment_ends_in_the_same_bytes(few: Path) -> None:
    configure(subset=SUBSET)
    expected = undisturbed()
    with children.counting_calls() as n_calls:
        label()
    remove_results()
    rng, n_moments = random.Random(3), n_calls()
    for share in (0.5, 0.7, 0.9, 0.95):
        moment = int(n_moments * (share + rng.uniform(-0.05, 0.05)))
        ended = children.run(main, ["mine"], functools.partial(children.kill_at, moment))
        assert ended.code in (-signal.SIGKILL, 0), ended.output  # what is left may be done earlier
    label()
    assert written() == expected and no_temporary_files()


def test_further_cells_make_further_parts_and_changed_ones_their_own(few: Path, made: list[int]) -> None:
    whole = make_cells()
    whole[:58].copy().write_h5ad(RAW)
    label()
    assert made == [17, 17, 17, 7]
    made.clear()
    whole[:59].copy().write_h5ad(RAW)
    label()
    assert made == [8], "the last part has one more cell"
    made.clear()
    change(set_obs("celltype", np.array(["B", "other"])[np.arange(59) % 2]))
    label()
    assert not made and set(cells.read_obs("mine")["cell_type"]) == {"B", "other"}, "labels are in no part"
    change(lambda data: data.X.__setitem__((30, 0), 9))
    label()
    assert made == [17]
    made.clear()
    change(lambda data: data[:, :11].copy())
    label()
    assert made == [17, 17, 17, 8]
    after = written()
    shutil.rmtree(CACHE)
    label()
    assert written() == after, "as without any earlier part"


def test_a_finished_part_that_is_damaged_is_made_again(few: Path, made: list[int]) -> None:
    label()
    expected, rng = written(), random.Random(1)
    for how in ("cut", "flip", "flip", "lose", "add"):
        made.clear()
        part = rng.choice(sorted(CACHE.glob("*.zarr")))
        path = rng.choice(sorted(path for path in part.rglob("*") if path.is_file()))
        damage(path, how, rng)
        label()
        assert written() == expected and len(made) == 1


def damage(path: Path, how: str, rng: random.Random) -> None:
    content = path.read_bytes()
    path.unlink()  # it may be linked to another place
    if how == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    elif how == "flip":
        place = rng.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
    elif how == "add":
        path.write_bytes(content)
        path.with_name("more").write_bytes(b"")


@pytest.mark.parametrize(("number", "n_finished"), [(0, 0), (2, 2)])
def test_on_a_full_disk_finished_parts_stay(few: Path, made: list[int], number: int, n_finished: int) -> None:
    expected = undisturbed()
    made.clear()
    fill = functools.partial(children.on_call, number, parts, "write_part", children.fill_disk)
    ended = children.run(main, ["mine"], fill)
    assert ended.code == 1 and "the disk is full" in ended.output.splitlines()[-1], ended.output
    assert ended.output.count("Error") == 1 and "Traceback" not in ended.output
    assert len(list(CACHE.glob("*.zarr"))) == n_finished and no_temporary_files()
    assert not OWN.exists() and not RECORD.exists()
    label()
    assert written() == expected and len(made) == N_PARTS - n_finished


@pytest.mark.parametrize(("module", "name"), [(parts, "write_tables"), (labelled, "link"), (parts, "write_manifest")])
def test_a_disk_that_is_full_elsewhere_is_one_line(
    few: Path, module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    label()
    expected = written()
    monkeypatch.setattr(labelled, "os", SimpleNamespace(link=no_links))
    ended = children.run(main, ["mine"], functools.partial(children.on_call, 0, module, name, children.fill_disk))
    assert ended.code == 1 and "the disk is full" in ended.output.splitlines()[-1], ended.output
    assert ended.output.count("Error") == 1 and "Traceback" not in ended.output
    assert written() == expected and no_temporary_files()


def no_links(source: str, target: str) -> None:
    raise OSError("no links on this file system")


def test_parts_are_copied_where_a_file_system_has_no_links(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = undisturbed()
    monkeypatch.setattr(labelled, "os", SimpleNamespace(link=no_links))
    label()
    assert written() == expected
    assert all(path.stat().st_nlink == 1 for path in OWN.rglob("*") if path.is_file())


def test_a_cache_that_one_must_not_write_to_is_one_line(few: Path) -> None:
    for path in [few, *few.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    CACHE.parent.mkdir(parents=True)
    CACHE.parent.chmod(0o555)
    ended = children.run(main, ["mine"], children.become_nobody)
    CACHE.parent.chmod(0o755)
    assert ended.code == 1 and ended.output.startswith(f"Error: {CACHE}: Permission denied"), ended.output
    assert ended.output.count("\n") == 1 and not OWN.exists() and not RECORD.exists() and no_temporary_files()


def test_two_runs_at_once_write_the_same_bytes(few: Path) -> None:
    expected = undisturbed()
    for ended in [run.wait() for run in [children.Child(main, ["mine"]) for _ in range(3)]]:
        assert ended.code == 0, ended.output
    assert written() == expected and len(list(CACHE.glob("*.zarr"))) == N_PARTS and no_temporary_files()


def test_an_experiment_elsewhere_has_the_cache_of_the_repository(
    few: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    label()
    expected = written()
    made.clear()
    for name in ("x", "standalone/tmp1"):
        elsewhere = few / ".dvc/tmp/exps" / name
        shutil.copytree(few, elsewhere, ignore=shutil.ignore_patterns(".dvc", "cache"))
        monkeypatch.chdir(elsewhere)
        shutil.rmtree(OWN)
        assert files.shared(labelled.CACHE) == few / labelled.CACHE
        label()
        assert written() == expected and not made and not labelled.CACHE.exists()
    for path in (few, few / "data", few / ".dvc/tmp/exps"):
        monkeypatch.chdir(path)
        assert files.shared(labelled.CACHE) == labelled.CACHE


def test_memory_does_not_grow_with_the_number_of_parts(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CELLS", 500)
    var = pd.DataFrame({"ensembl_id": ""}, index=pd.Index([f"G{n}" for n in range(1000)], name="symbol"))
    block = sp.random(250, 1000, 0.5, "csr", np.float32, np.random.default_rng(0))
    peaks = []
    for n_parts in (1, 2, 8):  # the first loads libraries
        n_cells = 500 * n_parts
        names = pd.Index([f"c{number:06d}" for number in range(n_cells)])
        obs = pd.DataFrame({"cell_type": pd.Categorical(["B"] * n_cells)}, index=names)
        read = functools.partial(matrix.in_blocks, lambda first, last: block.copy(), n_cells, n_at_once=250)
        x = matrix.Matrix(read, (n_cells, 1000), block.dtype)
        chosen = labelled.Chosen(x, obs, np.array([name.encode() for name in names], dtype=object))
        Path("out").mkdir()
        tracemalloc.start()
        labelled.write_parts(Path("out"), chosen, var, {"x": "lognorm"}, "mine")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        shutil.rmtree("out")
        shutil.rmtree(CACHE)
    assert peaks[2] <= 1.1 * peaks[1], peaks

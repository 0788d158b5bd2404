"""Parts on a Dask cluster: a scheduler and workers in processes of their own on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from genept.core import files
from genept.data import embeddings
from genept.engines import sums
from tests.engines.parts.processes import (
    PATIENCE,
    cluster_of,
    embed,
    finished,
    lay_out,
    refused,
    running,
    wait_for,
    write_settings,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a dataset of five parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    lay_out(tmp_path)
    return tmp_path


def written() -> list[bytes]:
    found = [path("blood", "mine").read_bytes() for path in (embeddings.matrix_path, embeddings.notes_path)]
    for path in (embeddings.matrix_path, embeddings.notes_path):
        path("blood", "mine").unlink()
    return found


def calls() -> list[str]:
    """Return the first cells of the parts that were computed since the last call."""
    lines = sorted(set(Path("calls").read_text().split()))  # some cells of the first are embedded for a trial, too
    Path("calls").unlink()
    return lines


def here() -> tuple[list[bytes], list[str]]:
    """Return what a run without a cluster writes and computes; nothing of it stays."""
    finished(embed())
    files.remove(Path("data/cache"))
    return written(), calls()


def test_workers_give_the_same_bytes_and_one_that_dies_costs_its_part(project: Path) -> None:
    expected, all_parts = here()
    with cluster_of(n_workers=2) as (address, _):
        write_settings(project, executor="dask", scheduler=address)
        Path("once").write_text("killed cell25")
        said = finished(embed())
        assert "sums of 5 of 5 parts, Dask workers: 2" in said and ": 5 of 5 parts, Dask workers: 2" in said
        assert said.count("of memory on each of 2 workers") == 2
        assert Path("killed").exists() and calls() == all_parts
        assert written() == expected
        assert "sums" not in finished(embed())  # from finished parts
        assert not Path("calls").exists() and written() == expected


def test_when_the_scheduler_dies_finished_parts_stay(project: Path) -> None:
    expected, all_parts = here()
    with cluster_of() as (address, processes):
        write_settings(project, executor="dask")
        Path("once").write_text("waits cell45")
        run = embed(DASK_SCHEDULER_ADDRESS=address)
        wait_for(lambda: Path("waits").exists() and len(saved()) == 4 + sums.KEPT)
        processes[0].send_signal(signal.SIGKILL)
        assert "the Dask scheduler is gone" in refused(run)
    computed = calls()
    write_settings(project)
    finished(embed())
    assert written() == expected and set(calls()).isdisjoint(computed) and len(computed) == len(all_parts) - 1


def test_when_the_last_worker_dies_the_run_ends_in_one_line(project: Path) -> None:
    with cluster_of(1) as (address, _):
        write_settings(project, executor="dask", scheduler=address)
        Path("once").write_text("killed cell25")
        assert "no Dask worker is left since" in refused(embed(PATIENCE="1"))
        assert saved()
        with running("worker", address):
            finished(embed())


def saved() -> list[Path]:
    return [*Path("data/cache/embed/blood/mine/parts").glob("*.npz")]


def test_a_worker_that_is_not_as_this_process_is_refused_in_one_line(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other/numba-0.1.dist-info").mkdir(parents=True)
    (tmp_path / "other/numba-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numba\nVersion: 0.1\n")
    clone = tmp_path / "clone"
    lay_out(clone)
    files.remove(clone / "models/mine")
    bare = tmp_path / "bare"
    shutil.copytree(clone, bare)
    files.remove(bare / "data/blood/labelled")
    damaged = tmp_path / "damaged"
    lay_out(damaged)
    chunk = max((damaged / "data/blood/labelled/parts").rglob("c/*"), key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with cluster_of(0) as (address, _):
        write_settings(project, executor="dask", scheduler=address)
        for environment, text in (
            ({"path": str(tmp_path / "other")}, "version of numba is 0.1, elsewhere"),
            ({"GENEPT_ROOT": str(clone)}, "its files in models/mine differ"),
            ({"GENEPT_ROOT": str(bare)}, f"data/blood/labelled is not in {bare}; bring it there, by git or `dvc pull`"),
            ({"GENEPT_ROOT": str(damaged)}, "): data/blood/labelled/parts/0"),
            ({"GENEPT_ROOT": str(tmp_path / "nowhere")}, "no repository in"),
        ):
            with running("worker", address, **environment):
                assert text in refused(embed())
        elsewhere = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        worker = subprocess.Popen(elsewhere, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
        try:
            assert "a worker cannot import genept; start workers with" in refused(embed())
        finally:
            worker.kill()
            worker.wait()


def test_without_a_scheduler_or_dask_the_line_says_what_to_do(project: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        write_settings(project, executor="dask", scheduler=address)
        assert f"no Dask scheduler with a worker answers at {address}" in refused(embed(TIMEOUT="1"))
    write_settings(project, executor="dask")
    for address in ("8786", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:x"):
        process = embed(DASK_SCHEDULER_ADDRESS=f"{address} ")
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1 and said.count("\n") == 1
        assert said.startswith(f"Error: mine on blood: no Dask scheduler with a worker answers at {address} ("), said
    Path("hidden").mkdir()
    Path("hidden/distributed.py").write_text("raise ImportError\n")
    assert "pip install -r requirements-dask.txt" in refused(embed(path="hidden"))

"""Parts on a Dask cluster: a scheduler and workers in processes of their own on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from distributed import Client

from genept.core import files
from genept.core.errors import InputError
from genept.core.params import load
from genept.data import cells, embeddings, parts
from genept.engines import cluster, sums
from genept.engines.work import Work
from tests import helpers
from tests.engines.embed.made import make_cells

N_CELLS, A_PART = 50, 10
PATIENCE = 300  # seconds, of a busy machine
WORKER = Path(__file__).with_name("worker.py")

# A model by parts, whose vectors hold a weight from its folder. It writes down what it computes, and does once what the
# file `once` says when it comes to the part with a cell: kill its process, or wait until it is killed.
MODEL = """
import os, signal, time
from pathlib import Path
import numpy as np
from genept.core.config import Config
from genept.core.notes import Total
from genept.engines.config import ModelConfig

BY_PARTS = True

class Model(ModelConfig):
    pass

def add(cells, sums, config):
    sums["totals"] = sums.get("totals", np.zeros(1)) + cells.X.sum(dtype=float) / 3

def survey(cells, sums, config):
    return {"mean": sums["totals"][0] / cells.n_obs}

def embed(cells, folder, config, device):
    once = Path("once")
    if once.exists() and once.read_text().split()[1] in cells.obs_names:
        what = once.read_text().split()[0]
        once.rename(what)
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)
    with open("calls", "a") as stream:
        stream.write(f"{cells.obs_names[0]}\\n")
    weight = float((folder / "weight").read_text())
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    matrix = np.column_stack([totals * weight, totals + cells.uns["mean"]])
    return matrix, {"n_read": Total(cells.n_obs), "comparable": True}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a dataset of five parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    lay_out(tmp_path)
    return tmp_path


def lay_out(folder: Path) -> None:
    write_settings(folder)
    (folder / "models/mine.py").write_text(MODEL)
    (folder / "models/mine").mkdir()
    (folder / "models/mine/weight").write_text("2")
    (folder / "data/blood/labelled/parts").mkdir(parents=True)
    (folder / "data/blood.yaml").write_text("title: Blood\n")
    made = make_cells(N_CELLS, 20)
    made.obs.index.name, made.var.index.name = "cell_id", "symbol"
    obs = made.obs.assign(cell_type="B")
    place = folder / "data/blood/labelled"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CELLS", A_PART)
        parts.write_tables(place, obs, made.var.astype(str))
        entries = []
        for number, rows in enumerate(parts.divide(N_CELLS)):
            part = place / parts.FOLDER / f"{number:05d}.zarr"
            x = made.X.tocsr()[rows].astype(np.float32)
            parts.write_part(part, x, list(obs.index[rows]), made.var.astype(str), "counts")
            entries.append(parts.Entry(name=part.name, n_cells=A_PART, sha256=parts.folder_sha256(part)))
        uns = {"x": "counts", "x_dtype": "float32"}
        parts.write_manifest(place, uns, made.n_vars, cells.ids_digest(obs.index), entries)


def write_settings(folder: Path, **more: Any) -> None:
    params = {"threads": 1, "device": "cpu", "executor": "local", "scheduler": None, **more}
    helpers.write_settings(folder, params, models={"mine": {"title": "Mine"}})


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python, in which parts have `A_PART` cells."""
    paths = [environment.pop("path", ""), str(helpers.ROOT)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
    command = [sys.executable, str(WORKER), str(A_PART), *arguments]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = python(*arguments, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def cluster_of(n_workers: int = 1) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Give the address of a scheduler, to which all workers have come, and the processes, the scheduler first."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running("scheduler", "scheduler.json"))]
        with Client(scheduler_file="scheduler.json", timeout=PATIENCE, set_as_default=False) as client:
            address = client.scheduler.address
            processes += [stack.enter_context(running("worker", address)) for _ in range(n_workers)]
            if n_workers:
                client.wait_for_workers(n_workers, timeout=PATIENCE)
        yield address, processes


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def embed(**environment: str) -> subprocess.Popen[str]:
    return python("embed", "blood", "mine", **environment)


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a process that succeeds, and return what it says."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out + err


def refused(process: subprocess.Popen[str]) -> str:
    """Wait for a process that ends in one line, and return it."""
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "Traceback" not in err, err
    return err.strip().splitlines()[-1]


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


@dataclass(eq=False)
class Future:
    """What a stand-in for a client gives: done at once."""

    item: int

    def result(self) -> int:
        return self.item

    def release(self) -> None:
        pass


class StandIn:
    """A client whose number of workers is set."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers, self.keys, self.items = n_workers, set[str](), list[int]()

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": dict.fromkeys(range(self.n_workers))}

    def as_current(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def submit(self, function: Any, item: int, key: str, pure: bool) -> Future:
        self.keys.add(key)
        self.items.append(item)
        return Future(item)


def test_workers_that_join_get_parts_while_others_are_at_theirs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = StandIn(1)
    workers = cluster.Workers(cast(Any, client), Work("blood", "mine", load()), {}, "")
    n_given = []

    def wait(futures: list[Future], timeout: float, return_when: str) -> Any:
        n_given.append(len(client.items))
        if len(n_given) == 1:
            client.n_workers = 3
            raise TimeoutError
        return SimpleNamespace(done={futures[-1]})

    monkeypatch.setattr("distributed.wait", wait)
    assert sorted(item for item, _ in workers.results(print, range(20), Path())) == list(range(20))
    assert n_given[:4] == [2, 6, 7, 8] and len(client.keys) == 20
    n_given[:] = [0]
    assert [item for item, _ in workers.results(print, range(9), Path(), in_turn=True)] == list(range(9))
    client.n_workers = 0
    monkeypatch.setattr(cluster, "PATIENCE", 0)
    monkeypatch.setattr("distributed.wait", lambda *_, **__: (_ for _ in ()).throw(TimeoutError))
    with pytest.raises(InputError, match="finished parts are in here"):
        list(workers.results(print, range(9), Path("here")))


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


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"error": "no cells"}, "worker w: no cells"),
        ({"version of torch": "1"}, "version of torch is 1, elsewhere 2; install the same requirements.txt"),
        ({cluster.PYTHON: "3.9"}, "version of Python is 3.9, elsewhere 3.11; give it the same"),
        ({"code": "b"}, "its code is not that of this process; restart it with this repository"),
        (
            {"settings of m": "b"},
            "its settings of m differ from those of this process; restart it with this repository",
        ),
        ({"files in models/m": "b"}, "its files in models/m differ from those of this process; `dvc pull` there"),
        ({cluster.DEVICE: "cuda"}, "computes on cuda, another on cpu; set device in params.yaml"),
    ],
)
def test_what_differs_is_named_and_what_helps(found: dict[str, str], text: str) -> None:
    expected = {
        **{"version of torch": "2", cluster.PYTHON: "3.11", cluster.DEVICE: "cpu"},
        **dict.fromkeys(("code", "settings of m", "files in models/m"), "a"),
    }
    cluster.compare(expected, expected, "w")
    with pytest.raises(InputError, match=text):
        cluster.compare(expected | found, expected, "w")

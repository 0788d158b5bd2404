"""A project of five parts, and its stage, a scheduler and workers of Dask in processes of their own on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from genept.data import cells, parts
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

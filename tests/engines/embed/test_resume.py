"""Runs that are interrupted and resume: what they compute again, equal bytes, and what is left on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from click.testing import CliRunner, Result

from genept.core import files
from genept.data import embeddings
from genept.engines.network import job
from stages.embed import main
from tests import helpers
from tests.engines.embed.made import make_cells

# A network whose vectors say which batch they are from, and whose runs write down what they compute. Before a batch
# that the file `stop` names by its number, it gets the signal named there.
NETWORK = """
import json, signal
from pathlib import Path
import numpy as np, torch
from genept.core.config import Config
from genept.engines.config import ModelConfig
from genept.engines.network import batching, job

if Path("interval").exists():
    job.SAVED_EVERY = float(Path("interval").read_text())

class Embed(Config):
    factor: int = 2

class Model(ModelConfig):
    embed: Embed

def embed(cells, folder, config, device):
    lengths = np.diff(cells.X.tocsr().indptr)
    n_calls = 0

    def forward(device, batch):
        nonlocal n_calls
        n_calls += 1
        if Path("stop").exists():
            number, name = json.loads(Path("stop").read_text())
            if n_calls > number:
                signal.raise_signal(signal.Signals[name])
        with open("calls", "a") as stream:
            stream.write(json.dumps(batch.tolist()) + "\\n")
        of_batch = torch.full((len(batch),), 1 / len(batch)) + batch[0]
        return torch.column_stack([torch.from_numpy(batch).float() * config.embed.factor, of_batch])

    vectors = batching.run(forward, lengths, 2, ["cpu"], "cells", 40, lambda: [cells.X.tocsr().data])
    return vectors, {"comparable": True}
"""
CACHE = Path("data/cache")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose runs save a checkpoint after every batch, and end at Ctrl-C even in a background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "SAVED_EVERY", job.SAVED_EVERY)  # restored after the test
    Path("interval").write_text("0")
    write_settings()
    Path("models/mine.py").write_text(NETWORK)
    Path("data/blood/labelled").mkdir(parents=True)
    Path("data/blood.yaml").write_text("title: Blood\n")
    write_cells(lambda cells: None)
    yield tmp_path
    signal.signal(signal.SIGINT, before)


def write_cells(change: Callable[[anndata.AnnData], None]) -> None:
    cells = make_cells(60, 30)
    change(cells)
    cells.write_h5ad("data/blood/labelled/cells.h5ad")


def write_settings(**settings: Any) -> None:
    params = {"threads": 1, "device": "cpu"}
    helpers.write_settings(Path(), params, models={"mine": {"title": "Mine", "embed": settings}})


def run() -> Result:
    return CliRunner().invoke(main, ["blood", "mine"])


def calls() -> list[list[int]]:
    """Return the batches computed since the last call."""
    path = Path("calls")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def saved() -> dict[Path, list[int]]:
    """Return every checkpoint file and its rows."""
    return {path: np.load(path)["rows"].tolist() for path in sorted(job.CHECKPOINTS.glob("blood/mine/*/*.npz"))}


def written() -> list[bytes]:
    return [path("blood", "mine").read_bytes() for path in (embeddings.matrix_path, embeddings.notes_path)]


def run_undisturbed() -> tuple[list[bytes], list[list[int]]]:
    """Return what an undisturbed run writes and its batches."""
    assert run().exit_code == 0
    expected = written()
    embeddings.matrix_path("blood", "mine").unlink()
    embeddings.notes_path("blood", "mine").unlink()
    return expected, calls()


def interrupt(n_batches: int, name: str = "SIGINT") -> None:
    """Run until that many batches are done, then get a signal; by default that of Ctrl-C."""
    Path("stop").write_text(json.dumps([n_batches, name]))
    assert run().exit_code == {"SIGINT": 1, "SIGTERM": 143}[name]
    assert not embeddings.matrix_path("blood", "mine").exists()
    Path("stop").unlink()


def test_a_run_that_is_killed_and_interrupted_resumes_and_writes_the_same_bytes(project: Path) -> None:
    expected, batches = run_undisturbed()
    assert len(batches) > 10 and not CACHE.exists()
    Path("stop").write_text(json.dumps([5, "SIGKILL"]))
    environment = os.environ | {"PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.embed", "blood", "mine"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not embeddings.matrix_path("blood", "mine").exists()
    Path("stop").unlink()
    assert calls() == batches[:5]
    for name in ("SIGTERM", "SIGINT"):
        interrupt(2, name)
    assert calls() == batches[5:9]
    n_saved = sum(len(rows) for rows in saved().values())
    assert n_saved == sum(map(len, batches[:9]))
    result = run()
    assert result.exit_code == 0, result.output
    assert f"blood x mine: resuming, {n_saved} of 60 cells come from an earlier run" in result.stderr
    assert calls() == batches[9:]
    assert written() == expected and not CACHE.exists()


def rename_a_cell(cells: anndata.AnnData) -> None:
    cells.obs_names = ["other", *cells.obs_names[1:]]


def add_a_count(cells: anndata.AnnData) -> None:
    cells.X.data[0] += 1


@pytest.mark.parametrize(
    "change",
    [
        lambda: write_settings(factor=3),
        lambda: files.write_json(Path("models/mine/weights.json"), [0.5]),
        lambda: write_cells(rename_a_cell),
        lambda: write_cells(add_a_count),
        lambda: Path("models/mine.py").write_text(NETWORK + "\n# another version\n"),
    ],
    ids=["settings", "model files", "cells", "tokens", "code"],
)
def test_a_run_that_depends_on_anything_else_starts_afresh(project: Path, change: Callable[[], None]) -> None:
    interrupt(3)
    calls()
    change()
    result = run()
    assert result.exit_code == 0 and "resuming" not in result.output
    batches = calls()
    assert sorted(row for batch in batches for row in batch) == list(range(60))
    assert not CACHE.exists()
    after_change = written()
    assert run_undisturbed() == (after_change, batches)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"no archive at all",
        lambda content: content.replace(np.float32(2 * 11).tobytes(), np.float32(23).tobytes()),
    ],
    ids=["empty", "cut", "text", "value"],
)
def test_the_cells_of_a_damaged_checkpoint_are_computed_again(project: Path, damage: Callable[[bytes], bytes]) -> None:
    expected, batches = run_undisturbed()
    interrupt(len(batches) - 1)
    calls()
    ((path, lost),) = [item for item in saved().items() if 11 in item[1]]
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    result = run()
    assert result.exit_code == 0 and f"{path}: damaged; its cells are computed again" in result.stderr
    assert calls() == [batch for batch in batches if batch in (lost, batches[-1])]
    assert written() == expected and not CACHE.exists()


def test_short_work_leaves_nothing_and_computes_no_hash(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("interval").unlink()
    assert job.SAVED_EVERY >= 30
    monkeypatch.setattr("genept.engines.running.digest", lambda *_: pytest.fail("hashed"))
    interrupt(5)
    assert not CACHE.exists()
    assert run().exit_code == 0 and not CACHE.exists()


def test_a_full_disk_ends_the_checkpoints_but_not_the_work(project: Path) -> None:
    expected, batches = run_undisturbed()
    CACHE.write_text("in the way")
    result = run()
    assert result.exit_code == 0 and written() == expected and calls() == batches
    assert result.stderr.splitlines()[0] == "blood x mine: 60 cells on cpu"
    assert result.stderr.count("\n") == 2 and result.stderr.endswith("; no more checkpoints\n")

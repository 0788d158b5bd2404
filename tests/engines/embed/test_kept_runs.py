"""Runs that are broken off and go on: what they compute again, that the bytes are the same, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from genept.data import embeddings
from genept.engines.network import checkpoints as kept
from stages.embed import main
from tests import helpers
from tests.engines.embed.made import make_cells

# A network whose vectors say which batch they are from, and whose runs say what they have computed. It ends at the
# batch that the file `stop` names, as by Ctrl-C.
NETWORK = """
import json, time
from pathlib import Path
import numpy as np, torch
from genept.engines.network import batching

if Path("interval").exists():
    from genept.engines.network import kept
    kept.INTERVAL = float(Path("interval").read_text())

def embed(cells, folder, options, device):
    lengths = np.diff(cells.X.tocsr().indptr)
    calls = []

    def forward(device, batch):
        calls.append(batch)
        if Path("stop").exists() and len(calls) > int(Path("stop").read_text()):
            raise KeyboardInterrupt
        with open("calls", "a") as stream:
            stream.write(json.dumps(batch.tolist()) + "\\n")
        time.sleep(options["seconds"])
        of_batch = torch.full((len(batch),), 1 / len(batch)) + batch[0]
        return torch.column_stack([torch.from_numpy(batch).float() * options["factor"], of_batch])

    vectors = batching.run(forward, lengths, 2, ["cpu"], "cells", 40, lambda: [cells.X.tocsr().data])
    return vectors, {"comparable": True}
"""


CACHE = Path("data/cache")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose runs write a record after every batch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kept, "INTERVAL", kept.INTERVAL)  # given back after the test
    Path("interval").write_text("0")
    Path("models/mine").mkdir(parents=True)
    Path("models/mine/embed.py").write_text(NETWORK)
    Path("data/blood").mkdir(parents=True)
    write_cells(lambda cells: None)
    write_params()
    return tmp_path


def write_cells(change: Callable[[anndata.AnnData], None]) -> None:
    cells = make_cells(60, 30)
    change(cells)
    cells.write_h5ad("data/blood/cells.h5ad")


def write_params(**options: Any) -> None:
    entry = {"title": "Mine", "factor": 2, "seconds": 0} | options
    params = {"threads": 1, "device": "cpu", "datasets": {"blood": {}}, "models": {"mine": entry}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run() -> Result:
    return CliRunner().invoke(main, ["blood", "mine"])


def calls() -> list[list[int]]:
    """Return the batches computed since the last time it was asked."""
    path = Path("calls")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def records() -> list[Path]:
    return sorted(kept.ROOT.glob("blood/mine/*/*.npz"))


def kept_rows() -> list[int]:
    return sorted(int(row) for path in records() for row in np.load(path)["rows"])


def written() -> list[bytes]:
    return [path("blood", "mine").read_bytes() for path in (embeddings.matrix_path, embeddings.notes_path)]


def whole() -> tuple[list[bytes], list[list[int]]]:
    """Return what an undisturbed run writes and its batches."""
    assert run().exit_code == 0
    expected = written()
    embeddings.matrix_path("blood", "mine").unlink()
    embeddings.notes_path("blood", "mine").unlink()
    return expected, calls()


def broken_off(n_batches: int) -> None:
    Path("stop").write_text(str(n_batches))
    assert run().exit_code == 1 and not embeddings.matrix_path("blood", "mine").exists()
    Path("stop").unlink()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_where_it_was_and_writes_the_same_bytes(project: Path, number: signal.Signals) -> None:
    write_params(seconds=0.05)
    expected, batches = whole()
    assert len(batches) > 10 and not CACHE.exists()
    command = [sys.executable, "-m", "stages.embed", "blood", "mine"]
    environment = os.environ | {"PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(records()) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number], errors
    assert not embeddings.matrix_path("blood", "mine").exists()
    calls()
    before = kept_rows()
    assert len(records()) >= 4
    result = run()
    assert result.exit_code == 0, result.output
    assert f"blood x mine: {len(before)} of them are there from a run that was broken off" in result.stderr
    assert calls() == [batch for batch in batches if batch[0] not in before]
    assert written() == expected
    assert not CACHE.exists()


def test_a_run_may_be_broken_off_several_times(project: Path) -> None:
    expected, batches = whole()
    for _ in range(3):
        broken_off(2)
    assert calls() == batches[:6]
    assert run().exit_code == 0
    assert calls() == batches[6:] and written() == expected and not CACHE.exists()


def another_id(cells: anndata.AnnData) -> None:
    cells.obs_names = ["other", *cells.obs_names[1:]]


def another_count(cells: anndata.AnnData) -> None:
    cells.X.data[0] += 1


@pytest.mark.parametrize(
    "change",
    [
        lambda: write_params(factor=3),
        lambda: Path("models/mine/weights.bin").write_bytes(b"new"),
        lambda: write_cells(another_id),
        lambda: write_cells(another_count),
    ],
    ids=["option", "model", "cells", "tokens"],
)
def test_a_run_with_other_options_files_or_cells_starts_afresh(project: Path, change: Callable[[], None]) -> None:
    broken_off(3)
    calls()
    change()
    result = run()
    assert result.exit_code == 0 and "broken off" not in result.output
    batches = calls()
    assert sorted(row for batch in batches for row in batch) == list(range(60))
    assert not CACHE.exists()
    found = written()
    assert whole() == (found, batches)


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
def test_what_a_damaged_record_held_is_computed_again(project: Path, damage: Callable[[bytes], bytes]) -> None:
    expected, batches = whole()
    broken_off(len(batches) - 1)
    calls()
    (path,) = (path for path in records() if 11 in np.load(path)["rows"])
    lost = np.load(path)["rows"].tolist()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    result = run()
    assert result.exit_code == 0 and f"{path}: damaged; what it held is computed again" in result.stderr
    assert calls() == [batch for batch in batches if batch in (lost, batches[-1])]
    assert written() == expected and not CACHE.exists()


def test_short_work_leaves_nothing_and_asks_for_no_hash(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("interval").unlink()
    assert kept.INTERVAL >= 30
    monkeypatch.setattr("stages.embed.sources", lambda model: pytest.fail("hashed"))
    broken_off(5)
    assert not CACHE.exists()
    assert run().exit_code == 0 and not CACHE.exists()


def test_a_full_disk_ends_the_record_but_not_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, batches = whole()
    Path("data/cache").write_text("in the way")
    result = run()
    assert result.exit_code == 0 and written() == expected and calls() == batches
    assert result.stderr.count("\n") == 2 and "what is finished is no longer kept" in result.stderr

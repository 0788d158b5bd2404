"""A full disk: one line, whatever library writes, and nothing half-written.

A limit of file sizes stands for it: each library meets it in the same call, and no disk has to be filled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from genept.core import cli, files
from genept.core.params import Params
from tests import helpers

NUMBERS = np.random.default_rng(0).random(50_000)
LIMIT = 20_000


@contextlib.contextmanager
def limited(n_bytes: int = LIMIT) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_h5(path: Path) -> None:
    with files.writing_h5(path) as file:
        file.create_dataset("x", data=NUMBERS, compression="gzip")


def write_torch(path: Path) -> None:
    import torch

    torch.save({"x": torch.from_numpy(NUMBERS)}, path)


def write_safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x": NUMBERS}, path)


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", NUMBERS.tobytes())


def write_picture(path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().imshow(NUMBERS.reshape(200, 250))
    figure.savefig(path, dpi=300)


def write_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t(x)")
        base.execute("insert into t values(?)", (NUMBERS.tobytes(),))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: np.save(path, NUMBERS),
    "a.npz": lambda path: np.savez(path, x=NUMBERS),
    "a.csv": lambda path: pd.Series(NUMBERS).to_csv(path),
    "a.csv.gz": lambda path: pd.Series(NUMBERS).to_csv(path),
    "a.json": lambda path: files.write_json(path, NUMBERS.tolist()),
    "a.h5": write_h5,
    "a.pt": write_torch,
    "a.safetensors": write_safetensors,
    "a.zip": write_zip,
    "a.png": write_picture,
    "a.pdf": write_picture,
    "a.svg": write_picture,
    "a.db": write_sqlite,
}


def run(body: Callable[[], object]) -> str:
    """Run a stage and return its one line."""

    @click.command()
    @cli.stage
    def main(params: Params) -> None:
        body()

    result = CliRunner().invoke(main)
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    return result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    helpers.write_settings(tmp_path, {})
    return tmp_path


@pytest.mark.parametrize("name", WRITERS)
def test_it_is_one_line_whatever_writes(folder: Path, name: str) -> None:
    path = Path("out", name)
    path.parent.mkdir()
    path.write_bytes(b"earlier")

    def body() -> None:
        with files.replacing(path) as temporary, limited():
            WRITERS[name](temporary)

    line = run(body)
    assert "the disk is full" in line and ".writing-" not in line
    assert [one.read_bytes() for one in path.parent.iterdir()] == [b"earlier"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded", "data/.writing-ab12/x"), "data/x: the disk is full, or a quota"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), "the disk is full"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (
            PermissionError(errno.EACCES, "Permission denied", "data/.writing-ab12"),
            "data: Permission denied; your user",
        ),
        (OSError(errno.EROFS, "Read-only file system", "data/x"), "data/x: Read-only file system; your user must"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "x: File name too long"),
    ],
    ids=str,
)
def test_errors_that_hide_it(error: Exception, text: str) -> None:
    def fail() -> None:
        try:
            raise error
        except Exception as cause:
            if isinstance(error, OSError):
                raise
            raise ValueError("could not save") from cause

    assert run(fail).startswith(f"Error: {text}")


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(AssertionError):
        run(lambda: [][1])


def test_hdf5_does_not_crash_at_the_end(folder: Path) -> None:
    """It tries again to write what it could not, when the process ends."""
    code = """
import resource, click, numpy, anndata
from genept.core import cli
@click.command()
@cli.stage
def main(params):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
    anndata.AnnData(numpy.random.rand(300, 100)).write_h5ad("a.h5ad", compression="gzip")
main()
"""
    Path("stages").mkdir()
    Path("stages/__init__.py").touch()
    Path("stages/crash.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.crash"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "the disk is full" in result.stderr.splitlines()[-1]


def test_room_is_checked_before_hdf5_writes_into_a_file(folder: Path) -> None:
    path = Path("a.h5ad")
    path.write_bytes(b"content")
    files.check_room(path, 1000)
    with limited():
        assert "the disk is full" in run(lambda: files.check_room(path, LIMIT))
    assert path.read_bytes() == b"content"

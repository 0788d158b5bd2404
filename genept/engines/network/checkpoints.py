"""Vectors that long work has finished, kept on disk until all are, so that a run that was broken off can go on.

``data/cache/embed/<dataset>/<model>/<digest>/`` holds a file for about every minute of work: an uncompressed ``.npz``
(``rows``: int64 (n,), ``vectors``: float32 (n, n_dimensions)), written under another name and renamed. Its checksums
tell a damaged file, which counts as not there. All that the vectors depend on is in the digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from genept.core import files

ROOT = Path("data/cache/embed")
INTERVAL = 60  # seconds between two files; work that takes less leaves none
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError)


class Record:
    """What is finished of the vectors of one run.

    Parameters
    ----------
    folder
        Where the records of the job lie.
    digest
        Gives the name of this run's record. It may take its time, and is asked only if there is something to read or
        write.
    vectors
        All vectors, shape (n_sequences, n_dimensions); filled by the run.
    """

    def __init__(self, folder: Path, digest: Callable[[], str], vectors: np.ndarray) -> None:
        self.folder = folder
        self.vectors = vectors
        self._digest = digest
        self._place: Path | None = None
        self._unwritten: list[np.ndarray] = []
        self._began = self._wrote = time.monotonic()
        self._broken = False

    @property
    def place(self) -> Path:
        """The folder of this run's files."""
        if self._place is None:
            self._place = self.folder / self._digest()
        return self._place

    def restore(self) -> np.ndarray:
        """Fill in the vectors that an earlier run has kept; return which, shape (n_sequences,), bool."""
        done = np.zeros(len(self.vectors), dtype=bool)
        for path in sorted(self.place.glob("*.npz")) if self.folder.is_dir() else ():
            try:
                rows, vectors = read(path, self.vectors.shape)
            except DAMAGED:
                click.echo(f"{path}: damaged; what it held is computed again", err=True)
                continue
            self.vectors[rows] = vectors
            done[rows] = True
        return done

    def add(self, rows: np.ndarray) -> None:
        """Take note that the vectors of some rows are finished, and write if it is time."""
        self._unwritten.append(rows)
        if time.monotonic() - self._wrote >= INTERVAL:
            self._write()

    def close(self) -> None:
        """Write what is not yet written, unless the run was a short one."""
        if self._unwritten and time.monotonic() - self._began >= INTERVAL:
            self._write()

    def _write(self) -> None:
        if self._broken:
            return
        rows = np.concatenate(self._unwritten).astype(np.int64)
        name = f"{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}.npz"
        try:
            with files.replacing(self.place / name) as temporary:
                np.savez(temporary, rows=rows, vectors=self.vectors[rows])
        except OSError as error:  # the work itself needs no record
            self._broken = True
            where = error.filename or self.folder
            click.echo(f"{where}: {error.strerror or error}; what is finished is no longer kept", err=True)
        self._unwritten = []
        self._wrote = time.monotonic()


def read(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Read rows and their vectors.

    Raises
    ------
    ValueError, or another error of `DAMAGED`
        If the file is damaged or is not of a matrix of this shape.
    """
    with np.load(path, allow_pickle=False) as archive:
        rows, vectors = archive["rows"], archive["vectors"]
    if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), shape[1]):
        raise ValueError("other arrays than were written")
    if len(rows) and not 0 <= rows.min() <= rows.max() < shape[0]:
        raise ValueError("rows that do not exist")
    return rows, vectors


def remove(folder: Path) -> None:
    """Remove all records of a job, with the folders above that this leaves empty."""
    shutil.rmtree(folder, ignore_errors=True)  # where another process writes, something may be left
    with contextlib.suppress(OSError):  # until one is not empty, or there was none
        for above in folder.parents:
            above.rmdir()

"""Checkpoints of long work: finished vectors, saved so that a run that is interrupted can resume.

``data/cache/embed/<dataset>/<model>/<digest>/`` holds a file for about every minute of work: an uncompressed ``.npz``
(``rows``: int64 (n,), ``vectors``: float32 (n, n_dimensions)). Its checksums tell a damaged file, which is ignored.
The digest is of all that the vectors depend on.
"""

from __future__ import annotations

import contextlib
import functools
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
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError)


class Checkpoint:
    """The finished vectors of one run.

    Parameters
    ----------
    folder
        The folder of the job's checkpoints; None: nothing is saved.
    digest
        Names the subfolder of this run. It is slow, so it is called only if there is something to read or write.
    vectors
        All vectors, shape (n_sequences, n_dimensions); filled by the run.
    """

    def __init__(
        self,
        folder: Path | None,
        digest: Callable[[], str],
        vectors: np.ndarray,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.digest = digest
        self.vectors = vectors
        self.clock = clock
        self._began = self._saved = clock()
        self._unsaved: list[np.ndarray] = []

    @functools.cached_property
    def run_folder(self) -> Path:
        """The folder of this run's files."""
        assert self.folder is not None
        return self.folder / self.digest()

    def resume(self) -> np.ndarray:
        """Fill in the vectors that an earlier run has saved; return which, shape (n_sequences,), bool."""
        done = np.zeros(len(self.vectors), dtype=bool)
        for path in sorted(self.run_folder.glob("*.npz")) if self.folder and self.folder.is_dir() else ():
            try:
                rows, vectors = read(path, self.vectors.shape)
            except DAMAGE:
                click.echo(f"{path}: damaged; its cells are computed again", err=True)
                continue
            self.vectors[rows] = vectors
            done[rows] = True
        return done

    def add(self, rows: np.ndarray) -> None:
        """Count rows as finished, and save them if it is time."""
        self._unsaved.append(rows)
        if self.clock() - self._saved >= INTERVAL:
            self._save()

    def close(self) -> None:
        """Save the rest, unless the run was short."""
        if self._unsaved and self.clock() - self._began >= INTERVAL:
            self._save()

    def _save(self) -> None:
        rows = np.concatenate(self._unsaved).astype(np.int64)
        self._unsaved, self._saved = [], self.clock()
        if self.folder is None:
            return
        name = f"{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}.npz"
        try:
            with files.replacing(self.run_folder / name) as temporary:
                np.savez(temporary, rows=rows, vectors=self.vectors[rows])
        except OSError as error:  # the work itself needs no checkpoint
            click.echo(f"{error.filename or self.folder}: {error.strerror or error}; no more checkpoints", err=True)
            self.folder = None


def read(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Read rows and their vectors; an error of `DAMAGE` if the file is damaged or of a matrix of another shape."""
    with np.load(path, allow_pickle=False) as archive:
        rows, vectors = archive["rows"], archive["vectors"]
    if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), shape[1]):
        raise ValueError("unexpected arrays")
    if len(rows) and not 0 <= rows.min() <= rows.max() < shape[0]:
        raise ValueError("rows that do not exist")
    return rows, vectors


def remove(folder: Path) -> None:
    """Remove all checkpoints of a job, with the folders above that this leaves empty."""
    shutil.rmtree(folder, ignore_errors=True)  # where another process writes, something may stay
    with contextlib.suppress(OSError):  # until one is not empty, or there was none
        for above in folder.parents:
            above.rmdir()

"""The job that a network runs for: its progress on standard error and the checkpoints from which it resumes.

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
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from genept.core import compute, files
from genept.core.pace import Pace

CHECKPOINTS = Path("data/cache/embed")
SAVED_EVERY = 60  # seconds between two checkpoints; work that takes less leaves none
DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    ValueError,
    KeyError,
    EOFError,
    OSError,
)
DAMAGE += (TypeError, OverflowError, MemoryError, SyntaxError)  # of headers that declare what cannot be
DAMAGE += (RuntimeError,)  # of an archive that seems to be encrypted, or packed by another method


@dataclass
class Job:
    """What a network runs for."""

    name: str  # stands before its lines in a log
    folder: Path | None = None  # of its checkpoints; None: it leaves none
    identity: Callable[[], str] = str  # a hash of all that the vectors depend on, beside what the network is given
    announced: bool = False
    pace: Pace | None = None  # of all its cells, where a network gets some of them only
    usd: float = 0.0  # that texts sent to an API have cost

    def announce(self, n_cells: int, workers: Sequence[str]) -> None:
        """Report the start of the work on standard error, once for each job."""
        if not self.announced:
            click.echo(f"{self.name}: {n_cells:,} cells on {compute.describe_devices(list(workers))}", err=True)
        self.announced = True


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current() -> Job | None:
    """Return the job of this thread, None if it has none."""
    return _current.get()


@contextlib.contextmanager
def running(job: Job) -> Iterator[Job]:
    """Assign all networks that run within to a job, so that engines need not pass it on."""
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)


class Checkpoint:
    """The finished vectors of one run, which fills `vectors`, shape (n_sequences, n_dimensions).

    `folder` is that of the job; None: nothing is saved. `digest` names the subfolder of this run; it is slow, so it is
    called only if there is something to read or write.
    """

    def __init__(
        self,
        folder: Path | None,
        digest: Callable[[], str],
        vectors: np.ndarray,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.digest, self.vectors, self.clock = folder, digest, vectors, clock
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
                rows, vectors = read_checkpoint(path, self.vectors.shape)
            except DAMAGE:
                click.echo(f"{path}: damaged; its cells are computed again", err=True)
                continue
            self.vectors[rows] = vectors
            done[rows] = True
        return done

    def add(self, rows: np.ndarray) -> None:
        """Count rows as finished, and save them if it is time."""
        self._unsaved.append(rows)
        if self.clock() - self._saved >= SAVED_EVERY:
            self._save()

    def close(self) -> None:
        """Save the rest, unless the run was short."""
        if self._unsaved and self.clock() - self._began >= SAVED_EVERY:
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


def read_checkpoint(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Read rows and their vectors; an error of `DAMAGE` if the file is damaged or of a matrix of another shape."""
    with np.load(path, allow_pickle=False) as archive:
        rows, vectors = archive["rows"], archive["vectors"]
    if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), shape[1]):
        raise ValueError("unexpected arrays")
    if len(rows) and not 0 <= rows.min() <= rows.max() < shape[0]:
        raise ValueError("rows that do not exist")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors with NaN or infinite numbers")
    return rows, vectors


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a job, with the folders above that this leaves empty."""
    shutil.rmtree(folder, ignore_errors=True)  # where another process writes, something may stay
    with contextlib.suppress(OSError):  # until one is not empty, or there was none
        for above in folder.parents:
            above.rmdir()

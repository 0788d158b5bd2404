"""The job that a network runs for, and its progress: a bar on a terminal, few lines in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from genept.core import compute
from genept.core.cli import progress_bar

INTERVAL = 300  # seconds between two lines in a log


@dataclass
class Job:
    """What the network runs for.

    Attributes
    ----------
    name
        Stands before its lines in a log.
    folder
        Where the checkpoints of long work go, see `genept.engines.network.checkpoints`; None: nowhere.
    identity
        Returns a hash of all that the vectors depend on, beside what the network is given.
    """

    name: str
    folder: Path | None = None
    identity: Callable[[], str] = str
    announced: bool = False

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


class Progress:
    """Reports on standard error how far long work is: a bar on a terminal, else a line every `INTERVAL`.

    Parameters
    ----------
    label
        Stands before the bar and before every line.
    lengths
        Tokens of each sequence, shape (n_sequences,).
    """

    def __init__(self, label: str, lengths: np.ndarray, clock: Callable[[], float] = time.monotonic) -> None:
        self.label = label
        self.lengths = lengths
        self.clock = clock
        self.sequences_done = self.tokens_done = 0
        self._began = self._reported = clock()
        self._bar = progress_bar(label, int(np.count_nonzero(lengths)), "sequence")

    def add(self, rows: np.ndarray) -> None:
        """Count sequences as done, and report it if it is time."""
        self._bar.update(len(rows))
        self.sequences_done += len(rows)
        self.tokens_done += int(self.lengths[rows].sum())
        now = self.clock()
        if self._bar.disable and now - self._reported >= INTERVAL:
            self._reported = now
            share, minutes = self.tokens_done / self.lengths.sum(), (now - self._began) / 60
            done = f"{self.sequences_done:,} of {np.count_nonzero(self.lengths):,} done"
            click.echo(f"{self.label}: {done}, {share:.0%} of their tokens, after {minutes:.0f} min", err=True)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

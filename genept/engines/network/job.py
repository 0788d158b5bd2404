"""The job that a network runs for, and what a log hears of it: one line when it begins, some more if it takes long."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import click

from genept.core import device as devices

QUIET = 60  # seconds at least before a line and between two
STEP = 0.1  # of the work is done between two lines
PATIENCE = 600  # seconds after which a line comes even so


@dataclass
class Job:
    """What the network runs for.

    Attributes
    ----------
    name
        What the log calls it.
    folder
        Where to keep what is finished of long work, see `genept.engines.network.checkpoints`; None: nowhere.
    identity
        Gives a hash of all that the vectors depend on, beside what the network is given.
    announced
        Whether its beginning has been said.
    """

    name: str
    folder: Path | None = None
    identity: Callable[[], str] = str
    announced: bool = False

    def announce(self, n_cells: int, workers: Sequence[str]) -> None:
        """Say on standard error, once, that so many cells are computed on these devices from now on."""
        if not self.announced:
            click.echo(f"{self.name}: {n_cells:,} cells on {devices.describe(list(workers))}", err=True)
        self.announced = True


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current() -> Job | None:
    """Return the job of this thread, None if it has none."""
    return _current.get()


@contextlib.contextmanager
def running(job: Job) -> Iterator[Job]:
    """Let what is computed within belong to a job; so engines need not know of it."""
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)


class Log:
    """Says on standard error how far long work has come, where that is no terminal, which has a progress bar.

    Parameters
    ----------
    label
        Stands before every line.
    n_sequences, n_tokens
        All there is to do.
    """

    def __init__(
        self, label: str, n_sequences: int, n_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.label = label
        self.n_sequences, self.n_tokens = n_sequences, n_tokens
        self.sequences_done = self.tokens_done = self.tokens_said = 0
        self.silent = sys.stderr.isatty()
        self.clock = clock
        self.began = self.spoke = clock()

    def add(self, n_sequences: int, n_tokens: int) -> None:
        """Count what has been computed, and say it if it is time."""
        self.sequences_done += n_sequences
        self.tokens_done += n_tokens
        now = self.clock()
        passed, done = now - self.spoke, self.tokens_done - self.tokens_said
        if self.silent or passed < QUIET or (done < STEP * self.n_tokens and passed < PATIENCE):
            return
        self.spoke, self.tokens_said = now, self.tokens_done
        click.echo(
            f"{self.label}: {self.sequences_done:,} of {self.n_sequences:,} done, "
            f"{self.tokens_done / self.n_tokens:.0%} of their tokens, after {(now - self.began) / 60:.0f} min",
            err=True,
        )

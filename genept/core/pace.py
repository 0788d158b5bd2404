"""How far a long work is: a bar on a terminal; in a log a line a minute with cells per second and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click

from genept.core.cli import progress_bar

REPORTED_EVERY = 60  # seconds between two lines in a log


class Pace:
    """Counts what is done of `total`; the time left goes by the share of `work`, by default each item is 1."""

    def __init__(
        self,
        label: str,
        total: int,
        unit: str = "cell",
        work: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.total, self.unit, self.clock = label, total, unit, clock
        self.work = float(total) if work is None else work
        self.n_done = self._n_new = 0
        self._done = self._new = 0.0
        self._began = self._reported = clock()
        self._bar = progress_bar(label, total, unit)

    def add(self, n: int, work: float | None = None, earlier: bool = False) -> None:
        """Count `n` items as done, by an `earlier` run or just now, and report it if it is time."""
        work = float(n) if work is None else work
        self.n_done, self._done = self.n_done + n, self._done + work
        if not earlier:
            self._n_new, self._new = self._n_new + n, self._new + work
        elif not self._bar.disable:
            self._bar.initial += n  # its rate is of what this run does
        self._bar.update(n)
        now = self.clock()
        if self._bar.disable and now - self._reported >= REPORTED_EVERY and self._new:
            self._reported = now
            seconds = now - self._began
            left = readable(seconds * max(0.0, self.work - self._done) / self._new)
            done = f"{self.n_done:,} of {self.total:,} {self.unit}s"
            click.echo(f"{self.label}: {done}, {self._n_new / seconds:,.3g} {self.unit}s/s, {left} left", err=True)

    def reach(self, n: int) -> None:
        """Count so many as done that they are `n`, if they are fewer."""
        if n > self.n_done:
            self.add(n - self.n_done)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def readable(seconds: float) -> str:
    """Return a time as a person says it: ``40 s``, ``25 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"

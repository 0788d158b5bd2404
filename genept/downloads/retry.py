"""A request that failed: what to say of it, and whether and when to try again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import click

from genept.core.errors import Absent, InputError

ATTEMPTS = 5  # in a row without a new byte
BACKOFF = 1.0  # seconds before the second attempt, doubled for each further one
TOLD_WAIT = 5.0  # seconds; a longer wait is said on the error stream

BY_HAND = "get it in a browser and use `kind: local`"
GO_ON = "run again: it goes on where it stopped"

T = TypeVar("T")


class Failure(Exception):
    """An address did not give what was asked for.

    Attributes
    ----------
    what, to_do
        What happened, and what to do about it.
    again, wait
        Whether to ask again, and after how many seconds if the server said so.
    absent
        Whether there is no such thing at that address.
    """

    def __init__(
        self, what: str, to_do: str, *, again: bool = False, wait: float | None = None, absent: bool = False
    ) -> None:
        super().__init__(what)
        self.what, self.to_do, self.again, self.wait, self.absent = what, to_do, again, wait, absent

    def error(self, place: str, before: str = "", *, absent: bool = True) -> InputError:
        """Return the error that says so of a place; `absent` is False if another place may have it."""
        line = f"{place}: {self.what}; {self.to_do}{before}"
        return Absent(line, self.what) if self.absent and absent else InputError(line)


def persist(once: Callable[[], T], size: Callable[[], int] = lambda: 0) -> T:
    """Call `once` until it succeeds, or fails for good or `ATTEMPTS` times in a row without more bytes than ever."""
    failures, most = 0, size()
    while True:
        try:
            return once()
        except Failure as failure:
            if size() > most:
                failures, most = 0, size()
            failures += 1
            if not failure.again or failures >= ATTEMPTS:
                raise
            wait = BACKOFF * 2 ** (failures - 1) if failure.wait is None else failure.wait
            if wait >= TOLD_WAIT:
                click.echo(f"{failure.what}; trying again in {wait:.0f} s", err=True)
            time.sleep(wait)

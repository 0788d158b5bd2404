"""Waiting for a busy server: all requests together, as long as it asks, or longer and longer; then going on."""

from __future__ import annotations

import threading
import time

import click

from genept.core.errors import InputError

FIRST_DELAY, MAX_DELAY = 1.0, 60.0  # seconds
PATIENCE = 300.0  # seconds of trouble without a good answer, until the run stops
PATIENCE_UNREACHABLE = 30.0


class Busy(Exception):
    """The server cannot answer now, but may later.

    Parameters
    ----------
    reason
        What it said.
    delay
        Seconds to wait that it asked for, or None.
    patience
        Seconds after which to give up.
    """

    def __init__(self, reason: str, delay: float | None = None, patience: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.delay = reason, delay
        self.patience = PATIENCE if patience is None else patience


class Stopped(Exception):
    """The run ends: a request that has not been sent yet is not sent any more."""


class Pace:
    """When the next request may go, for several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._until = 0.0
        self._trouble_since: float | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let nobody wait or send any longer."""
        self._stopped.set()

    def wait(self) -> None:
        """Return when a request may go.

        Raises
        ------
        Stopped
            If none may go any more.
        """
        while not self._stopped.is_set():
            with self._lock:
                left = self._until - time.monotonic()
            if left <= 0:
                return
            self._stopped.wait(left)
        raise Stopped

    def answered(self) -> None:
        """Note a good answer."""
        with self._lock:
            self._trouble_since = None

    def hold(self, busy: Busy, attempt: int) -> None:
        """Hold all requests back after the `attempt`-th failure of one, counted from 0.

        Raises
        ------
        InputError
            If patience is at an end.
        """
        seconds = min(FIRST_DELAY * 2 ** min(attempt, 16), MAX_DELAY) if busy.delay is None else busy.delay
        with self._lock:
            now = time.monotonic()
            if self._trouble_since is None:
                self._trouble_since = now
            if now - self._trouble_since + seconds > busy.patience:
                asked = "" if busy.delay is None else f", and asks to wait {seconds:.0f} s"
                raise InputError(f"{self.name}: {busy.reason}{asked}; what came is kept, run again later to go on")
            if self._until <= now:
                click.echo(f"{self.name}: {busy.reason}; going on in {seconds:.1f} s", err=True)
            self._until = max(self._until, now + seconds)

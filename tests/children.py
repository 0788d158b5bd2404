"""Commands in a fork of the test's process: they can be killed, or run two at once, without the wait for imports."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import click
from click.testing import CliRunner


class Ended(NamedTuple):
    """How a command ended: its exit code, or the negative number of the signal, and what it printed."""

    code: int
    output: str


class Child:
    """A command that runs in a fork; `prepare` is called there before."""

    def __init__(self, main: click.Command, arguments: list[str], prepare: Callable[[], object] = lambda: None) -> None:
        self.output = tempfile.TemporaryFile("w+")
        self.pid = os.fork()
        if not self.pid:
            signal.alarm(120)  # it ends, whatever happens to the test
            code = 99
            try:
                prepare()
                result = CliRunner().invoke(main, arguments)
                sys.setprofile(None)
                resource.setrlimit(resource.RLIMIT_FSIZE, 2 * resource.getrlimit(resource.RLIMIT_FSIZE)[1:])
                print(result.output, end="", file=self.output, flush=True)
                code = result.exit_code if isinstance(result.exception, SystemExit | None) else 98  # a traceback
            finally:
                os._exit(code)

    def wait(self) -> Ended:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with self.output as stream:
            stream.seek(0)
            return Ended(code, stream.read())


def run(main: click.Command, arguments: list[str], prepare: Callable[[], object] = lambda: None) -> Ended:
    return Child(main, arguments, prepare).wait()


def kill_at(moment: int) -> None:
    """Kill this process when it calls its Python function number `moment`, which may be anywhere in its work."""
    calls = itertools.count()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and next(calls) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


@contextlib.contextmanager
def counting_calls() -> Iterator[Callable[[], int]]:
    """Give how many moments `kill_at` can choose from."""
    calls = itertools.count()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            next(calls)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield lambda: next(calls)
    finally:
        sys.setprofile(before)


def on_call(number: int, module: Any, name: str, how: Callable[[], object]) -> None:
    """Do something before a function of a module is called for the `number`th time, counted from 0."""
    calls, function = itertools.count(), getattr(module, name)

    def called(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            how()
        return function(*arguments, **named)

    setattr(module, name, called)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk(n_bytes: int = 200) -> None:
    """Let no file grow beyond some bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def become_nobody() -> None:
    """Give up the right of root to write anywhere; in its folder a process stays."""
    if not os.getuid():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

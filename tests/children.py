"""Commands in a fork of the test's process: they can be killed, or run two at once, without the wait for imports."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
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
        self.output = Path(f"output-{next(NUMBERS)}.txt").absolute()
        self.pid = os.fork()
        if not self.pid:
            signal.alarm(120)  # it ends, whatever happens to the test
            code = 99
            try:
                prepare()
                result = CliRunner().invoke(main, arguments)
                sys.setprofile(None)
                self.output.write_text(result.output)
                code = result.exit_code if result.exception is None or result.exit_code != 1 else 1
            finally:
                os._exit(code)

    def wait(self) -> Ended:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        text = self.output.read_text() if self.output.exists() else ""
        self.output.unlink(missing_ok=True)
        return Ended(code, text)


NUMBERS = itertools.count()


def kill_at(moment: int) -> None:
    """Kill this process at its call number `moment` of a Python function, which may be anywhere in its work."""
    calls = itertools.count()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and next(calls) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def count_calls(path: Path, moment: int = 1 << 60) -> None:
    """Write into a file, when the process ends its work, how many moments `kill_at` can choose from."""
    n_calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal n_calls
        n_calls += event == "call"
        if n_calls % 100 == 0:
            path.write_text(str(n_calls))

    sys.setprofile(count)

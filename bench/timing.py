"""Timing: sides take turns, the fastest repeat of each counts, nothing they print is seen."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def interleaved(
    sides: Mapping[str, Callable[[], Any]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Run every side `repeats` times, in turns, so that what else the machine does meets all of them alike.

    Returns
    -------
    The least seconds of each side, and its last answer.
    """
    seconds = dict.fromkeys(sides, float("inf"))
    answers: dict[str, Any] = {}
    for _ in range(repeats):
        for name, side in sides.items():
            with quiet():
                start = clock()
                answers[name] = side()
                seconds[name] = min(seconds[name], clock() - start)
    return seconds, answers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow output, progress bars and warnings of either side."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield

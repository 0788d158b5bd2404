"""What a benchmark is: one input for our side and for upstream's, how far their answers are apart, and their times."""

from __future__ import annotations

import contextlib
import io
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

FLOAT32 = "float32"
K = TypeVar("K")

#: One side of a comparison: takes the input, returns its answer.
Side = Callable[[Any], Any]


class Rates(NamedTuple):
    """What the machine does at most, measured in the same run."""

    product: float  # float32 operations a second of a matrix product
    copy: float  # bytes a second, read and written, of a copy in memory
    gpu_product: float = math.nan  # bfloat16 operations a second of a matrix product on the GPU, if there is one

    def of(self, device: str) -> float:
        """Return the operations a second that cases on a device are held against."""
        return self.product if device == "cpu" else self.gpu_product


def relative_difference(ours: np.ndarray, upstream: np.ndarray) -> float:
    """Return the largest difference as a share of upstream's largest value; infinite for other shapes and NaN."""
    ours, upstream = np.asarray(ours, dtype=np.float64), np.asarray(upstream, dtype=np.float64)
    if ours.shape != upstream.shape:
        return np.inf
    difference = float(np.abs(ours - upstream).max(initial=0) / (np.abs(upstream).max(initial=0) or 1))
    return difference if np.isfinite(difference) else np.inf


@dataclass(frozen=True)
class Case:
    """A comparison, ready to run."""

    cells: Any  # what every side gets when it is timed
    few: Any  # on which the answers must agree; all sides run on it before the timing, which also warms them up
    n_cells: int  # cells, or texts, in `cells`
    ours: Mapping[str, Side]  # by precision
    upstream: Mapping[str, Side]  # by name
    draws: bool = False  # answers to `cells` depend on each side's own random draws, so only `few` are compared
    difference: Callable[[Any, Any], float] = relative_difference  # of our answer from upstream's
    flops: float | None = None  # floating-point operations of our side, additions and multiplications counted singly
    bound: Callable[[Rates], float] | None = None  # seconds that the machine needs at least


class Target(NamedTuple):
    """What is asked of our side in one precision."""

    tolerance: float  # largest difference with which two answers count as the same
    ratios: Mapping[str, float] = {}  # how many times as fast it should be, by upstream's name
    times_bound: float | None = None  # how many times the bound it may take


class Spec(NamedTuple):
    """A comparison before its input is read."""

    read: Callable[[int], Any]  # from a number of cells or texts to that many
    build: Callable[[Any, Path, tuple[str, ...]], Case]  # from those, an empty folder for weights and the precisions
    n_cells: int  # by default
    targets: Mapping[str, Target]  # by precision; our side runs in each


def interleaved(
    sides: Mapping[K, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[K, float], dict[K, Any]]:
    """Run every side `repeats` times, in turns, so that what else the machine does meets all of them alike.

    Returns the least seconds of each side, and its last answer.
    """
    seconds = dict.fromkeys(sides, math.inf)
    answers: dict[K, Any] = {}
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
    nothing = io.StringIO()
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

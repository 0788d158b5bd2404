"""What a benchmark is: one input for our side and for upstream's, and how far their answers are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FLOAT32 = "float32"

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
    """Return the largest absolute difference as a share of upstream's largest absolute value.

    Infinite if the shapes differ or a value is NaN.
    """
    ours, upstream = np.asarray(ours, dtype=np.float64), np.asarray(upstream, dtype=np.float64)
    if ours.shape != upstream.shape:
        return np.inf
    difference = float(np.abs(ours - upstream).max(initial=0) / (np.abs(upstream).max(initial=0) or 1))
    return difference if np.isfinite(difference) else np.inf


@dataclass(frozen=True)
class Case:
    """A comparison, ready to run.

    Attributes
    ----------
    cells
        What every side gets when it is timed.
    few
        A small input on which the answers must agree. All sides run on it before the timing, which also warms them up.
    n_cells
        Cells, or texts, in `cells`.
    ours
        Our side, by precision.
    upstream
        The other sides, by name.
    draws
        The answers to `cells` depend on each side's own random draws, so only those to `few` are compared.
    difference
        Distance of our answer from upstream's.
    flops
        Floating-point operations of our side, additions and multiplications counted singly.
    bound
        Seconds that the machine needs at least, from its rates.
    """

    cells: Any
    few: Any
    n_cells: int
    ours: Mapping[str, Side]
    upstream: Mapping[str, Side]
    draws: bool = False
    difference: Callable[[Any, Any], float] = relative_difference
    flops: float | None = None
    bound: Callable[[Rates], float] | None = None


@dataclass(frozen=True)
class Target:
    """What is asked of our side in one precision.

    Attributes
    ----------
    tolerance
        Largest difference with which two answers count as the same.
    ratios
        How many times as fast as upstream it should be, by upstream's name; without an entry there is no goal.
    times_bound
        How many times the bound it may take.
    """

    tolerance: float
    ratios: Mapping[str, float] = field(default_factory=dict)
    times_bound: float | None = None


@dataclass(frozen=True)
class Spec:
    """A comparison before its input is read.

    Attributes
    ----------
    read
        Called with a number of cells or texts, returns that many.
    build
        Called with those, an empty folder for weights and the precisions, returns the case.
    n_cells
        The number by default.
    targets
        By precision; our side runs in each.
    """

    read: Callable[[int], Any]
    build: Callable[[Any, Path, tuple[str, ...]], Case]
    n_cells: int
    targets: Mapping[str, Target]

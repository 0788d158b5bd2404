"""Work in the threads that ``params.yaml`` allows: for compiled code and numpy, which release Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def number() -> int:
    """Return how many threads `genept.core.cli.prepare` allows this process; one if it has not run."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def each(function: Callable[..., T], *parts: Iterable[object]) -> list[T]:
    """Return the function's result for each part, in the order of the parts; as ``map``, in threads."""
    with ThreadPoolExecutor(number()) as pool:
        return list(pool.map(function, *parts))

"""For all tests: what a command sets in this process's environment ends with the test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Give back the environment. Numba, above all, refuses to compile once its number of threads has changed."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)

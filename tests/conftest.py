"""For all tests: what a command sets in this process's environment ends with the test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numba  # noqa: F401  (it reads its number of threads once, so before a command sets it for its own process)
import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # which may be busy
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Give back the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the pipeline, which takes longest, so that no worker waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {name} {value}")

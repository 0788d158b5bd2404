"""Threads of a library wait for each other for seconds on a loaded machine: one is enough."""

from tests.metrics.conftest import one_thread as one_thread

"""Batches, workers, lack of memory, progress: every sequence gets its vector, whatever happens on the way."""

from __future__ import annotations

import signal
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genept.core import pace
from genept.core.errors import InputError
from genept.engines.network import batching, job, transformer
from tests import helpers

LENGTHS = np.array([3, 0, 7, 7, 1, 5, 2, 9])


def vectors(batch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([batch, 10 * batch]).astype(np.float32))


EXPECTED = np.column_stack([np.arange(8), 10 * np.arange(8)]) * (LENGTHS > 0)[:, np.newaxis]


@given(
    lengths=st.lists(st.integers(0, 50), max_size=60).map(lambda x: np.array(x, dtype=int)), budget=st.integers(1, 300)
)
def test_batches_hold_every_sequence_once_longest_first_and_are_as_full_as_the_budget_allows(
    lengths: np.ndarray, budget: int
) -> None:
    found = list(batching.batches(lengths, budget))
    rows = [int(i) for batch in found for i in batch]
    assert sorted(rows) == np.flatnonzero(lengths).tolist()
    assert rows == sorted(rows, key=lambda i: (-lengths[i], i))
    sizes = [int(lengths[batch].sum()) for batch in found]
    assert all(len(batch) == 1 or size <= budget for batch, size in zip(found, sizes, strict=True))
    firsts = [lengths[batch[0]] for batch in found[1:]]
    assert all(size + first > budget for size, first in zip(sizes, firsts, strict=False))


@pytest.mark.parametrize("devices", [["cpu"], ["cpu:0", "cpu:1", "cpu:2"]])
def test_rows_come_in_the_order_of_the_sequences_from_any_number_of_workers(devices: list[str]) -> None:
    seen = set()

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        if device not in seen:
            seen.add(device)
            barrier.wait()  # so all workers have a batch at once
        return vectors(batch)

    barrier = threading.Barrier(len(devices))
    found = batching.run(forward, LENGTHS, 2, devices, "test", tokens_per_batch=9)
    np.testing.assert_array_equal(found, EXPECTED)
    assert found.dtype == np.float32 and seen == set(devices)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_without_memory_the_token_budget_is_halved_down_to_one_sequence(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes, limit = [], 10

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        sizes.append(int(LENGTHS[batch].sum()))
        if sizes[-1] > limit:
            raise error
        return vectors(batch)

    np.testing.assert_array_equal(batching.run(forward, LENGTHS, 2, ["cpu"], "test", tokens_per_batch=40), EXPECTED)
    assert sizes[:3] == [34, 16, 9]
    assert capsys.readouterr().err.splitlines() == [
        "cpu: out of memory at 40 tokens, going on with 20",
        "cpu: out of memory at 20 tokens, going on with 10",
    ]
    limit = 8
    with pytest.raises(InputError, match=r"^cpu: no memory for one sequence of 9 tokens; use a device with more"):
        batching.run(forward, LENGTHS, 2, ["cpu"], "test", tokens_per_batch=20)


MANY = np.ones(200, dtype=int)  # with a budget of 1 as many batches


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set when a queue gives out no more batches."""
    event, close = threading.Event(), batching.Queue.close

    def close_and_tell(queue: batching.Queue) -> None:
        close(queue)
        event.set()

    monkeypatch.setattr(batching.Queue, "close", close_and_tell)
    return event


@pytest.mark.parametrize("failing", ["cpu:0", "cpu:1"])
@pytest.mark.parametrize("has_memory", [True, False])
def test_an_error_of_one_worker_ends_the_others_after_the_batch_under_way(
    closed: threading.Event, failing: str, has_memory: bool
) -> None:
    other_has_begun = threading.Event()
    computed = []

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        if device == failing:
            other_has_begun.wait()
            raise RuntimeError("shapes do not match")
        other_has_begun.set()
        closed.wait()
        computed.append(batch)
        if not has_memory:
            raise torch.OutOfMemoryError
        return vectors(batch)

    with pytest.raises(RuntimeError, match="shapes do not match"):
        batching.run(forward, MANY, 2, ["cpu:0", "cpu:1"], "test", tokens_per_batch=50)
    assert len(computed) == 1


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt()), (signal.SIGTERM, SystemExit(143))],  # as python and `genept.core.cli.stage`
)
def test_ctrl_c_and_sigterm_end_the_workers_after_the_batch_under_way(
    closed: threading.Event, number: signal.Signals, error: BaseException
) -> None:
    computed: list[np.ndarray] = []
    handled = threading.Event()

    def handle(*_: object) -> None:
        if not handled.is_set():
            handled.set()
            raise error

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        if device == "cpu:0":
            while not handled.wait(0.01):  # the main thread sleeps on if a signal comes just before it falls asleep
                signal.pthread_kill(threading.main_thread().ident or 0, number)
        closed.wait()
        computed.append(batch)
        return vectors(batch)

    before = signal.signal(number, handle)
    try:
        with pytest.raises(type(error)):
            batching.run(forward, MANY, 2, ["cpu:0", "cpu:1"], "test", tokens_per_batch=1)
    finally:
        signal.signal(number, before)
    assert len(computed) <= 2  # of 200


def test_the_log_of_a_short_job_is_one_line_and_of_work_without_a_job_none(capsys: pytest.CaptureFixture[str]) -> None:
    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        return vectors(batch)

    batching.run(forward, LENGTHS, 2, ["cpu"], "test")
    assert capsys.readouterr() == ("", "")
    with job.running(job.Job("blood x mine")):
        batching.run(forward, LENGTHS, 2, ["cpu:0", "cpu:1"], "test")
        batching.run(forward, LENGTHS[:2], 2, ["cpu"], "comparison")
    assert job.current() is None
    assert capsys.readouterr() == ("", "blood x mine: 8 cells on 1 x cpu:0, 1 x cpu:1\n")


def test_the_bar_counts_every_sequence_that_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = helpers.record_bars(monkeypatch, pace)
    batching.run(lambda _, batch: vectors(batch), LENGTHS, 2, ["cpu"], "cells", tokens_per_batch=9)
    assert [(bar.desc, bar.n, bar.total, bar.unit) for bar in bars] == [("cells", 7, 7, "sequence")]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_log_gets_a_line_a_minute_with_the_rate_and_the_time_left_and_a_terminal_a_bar(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    now = 0.0
    with pace.Pace("cells", 5000, work=200.0, clock=lambda: now) as progress:
        progress.add(100, 4, earlier=True)
        for _ in range(8):
            now += 18
            progress.add(10, 1)  # cells that are shorter than the others
    out, err = capsys.readouterr()
    assert out == ""
    if is_terminal:
        assert "cell" in err and "left" not in err
    else:  # at 72 and 144 s; 192 and 188 of the work are left, and 18 s were needed for 1
        assert err.splitlines() == [
            "cells: 140 of 5,000 cells, 0.556 cells/s, 58 min left",
            "cells: 180 of 5,000 cells, 0.556 cells/s, 56 min left",
        ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_a_time_is_said_as_a_person_says_it(seconds: float, text: str) -> None:
    assert pace.readable(seconds) == text


@given(st.integers(1, 1000))
def test_compared_rows_are_distinct_and_spread_from_first_to_last(n_rows: int) -> None:
    rows = transformer.rows_to_compare(n_rows).tolist()
    assert rows == sorted(set(rows)) and len(rows) == min(n_rows, 16)
    assert rows[0] == 0 and rows[-1] == n_rows - 1


def test_the_difference_is_measured_by_cosine_and_coordinate_without_zeros() -> None:
    exact = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    rough = np.array([[4.0, 3.0], [0.0, 0.0], [0.0, 2.5]], dtype=np.float32)
    assert transformer.distance(rough, exact) == {"n_compared": 2, "cosine_min": 0.96, "difference_max": 0.25}
    assert transformer.distance(rough[1:2], exact[1:2]) == {"n_compared": 0}

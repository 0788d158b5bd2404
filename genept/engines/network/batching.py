"""Run a network over many sequences: batches by length, one worker for each GPU, smaller batches if memory runs out.

With `genept.engines.network.transformer` it is 1.3 to 2.2 times as fast as transformers' padded batches (two cores,
float32, see ``bench/``), and it can resume.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import numpy as np
import torch

from genept.core.errors import InputError
from genept.core.pace import Pace
from genept.engines.network import job as jobs
from genept.engines.network.job import Checkpoint, Job

#: Tokens in a batch: enough to keep the processor busy, few enough for its cache. On two cores 2,048 was fastest.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 131072}

Forward = Callable[[str, np.ndarray], torch.Tensor]
Inputs = Callable[[], Iterable[Any]]  # bytes and arrays, for hashlib


def run(
    forward: Forward,
    lengths: np.ndarray,
    n_dimensions: int,
    devices: Sequence[str],
    label: str,
    tokens_per_batch: int | None = None,
    inputs: Inputs | None = None,
) -> np.ndarray:
    """Compute a vector for every sequence.

    Parameters
    ----------
    forward
        Called with a device and the indices of a batch, returns their vectors, shape (n_sequences, `n_dimensions`).
    lengths
        Tokens of every sequence, shape (n_sequences,).
    devices
        One worker runs on each. Which worker computes a batch has no effect on the vectors.
    label
        Stands before the progress bar, or before the lines in a log (`genept.engines.network.job`).
    tokens_per_batch
        Tokens at a time, by default `TOKENS_PER_BATCH` of the kind of device; one sequence always fits. It bounds the
        memory and changes the result by rounding only.
    inputs
        Returns all that the vectors depend on beside the job's identity: precision, tokens. Without it, or without a
        job that has a folder, there are no checkpoints.

    Returns
    -------
    Float32, shape (n_sequences, n_dimensions), in the order of the sequences; zeros for a sequence of length 0.

    Raises
    ------
    InputError
        If a single sequence does not fit in memory. If a batch does not, the remaining batches are cut to half as many
        tokens, which is reported on standard error.

    Notes
    -----
    An error in a worker, Ctrl-C and SIGTERM end all workers after the batch that each is computing.
    """
    kinds = sorted({torch.device(device).type for device in devices})
    budget = tokens_per_batch or TOKENS_PER_BATCH[kinds[0]]
    vectors = np.zeros((len(lengths), n_dimensions), dtype=np.float32)
    job = jobs.current() or Job(label, announced=True)
    job.announce(len(lengths), devices)
    checkpoint = Checkpoint(
        job.folder if inputs else None,
        lambda: digest(job.identity(), [n_dimensions, budget, kinds], [lengths, *(inputs() if inputs else ())]),
        vectors,
    )
    done = checkpoint.resume()
    if done.any():
        click.echo(f"{job.name}: resuming, {done.sum():,} of {len(done):,} cells come from an earlier run", err=True)
    queue = Queue(lengths, budget, done)
    lock = threading.Lock()

    def weight(rows: np.ndarray) -> float | None:
        return None if job.pace else float(lengths[rows].sum())

    def work(device: str) -> None:
        with queue.closed_on_error():
            while (item := queue.take()) is not None:
                batch, its_budget = item
                rows = attempt(forward, device, batch)
                if rows is None:
                    queue.put_back(batch, its_budget, device)
                    continue
                vectors[batch] = rows
                with lock:
                    pace.add(len(batch), weight(batch))
                    checkpoint.add(batch)

    pace = job.pace or Pace(label, int(np.count_nonzero(lengths)), "sequence", float(lengths.sum()))
    with contextlib.closing(checkpoint), contextlib.nullcontext() if job.pace else pace:
        pace.add(int(np.count_nonzero(done)), weight(done), earlier=True)
        if len(devices) == 1:
            work(devices[0])
        else:
            with ThreadPoolExecutor(len(devices)) as pool, queue.closed_on_error():
                list(pool.map(work, devices))
    return vectors


def attempt(forward: Forward, device: str, batch: np.ndarray) -> np.ndarray | None:
    """Return the vectors of a batch, or None if they do not fit in memory, which is freed only with the error."""
    try:
        with torch.inference_mode():
            return forward(device, batch).float().cpu().numpy()
    except RuntimeError as error:  # a class of its own on a GPU; on a processor only its text tells
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return None
        raise


def digest(identity: str, settings: list[Any], inputs: Iterable[Any]) -> str:
    """Return a hash of all that the vectors of a run depend on, also by rounding."""
    inputs_hash = hashlib.sha256(json.dumps([identity, torch.__version__, settings]).encode())
    for part in inputs:
        inputs_hash.update(f"{memoryview(part).nbytes} ".encode())
        inputs_hash.update(part)
    return inputs_hash.hexdigest()


def batches(lengths: np.ndarray, tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Cut sequences into batches, longest first; yields their indices.

    A batch holds at most `tokens_per_batch` tokens, or one sequence. Sequences of length 0 are in none.
    """
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        before = ends[start] - lengths[order[start]]
        stop = max(start + 1, int(np.searchsorted(ends, before + tokens_per_batch, side="right")))
        yield order[start:stop]
        start = stop


class Queue:
    """The batches that no worker has taken yet.

    Sequences that are `done` are left out. The others stay in the batches in which they would be without that, so that
    their vectors are the same to the last bit.
    """

    def __init__(self, lengths: np.ndarray, budget: int, done: np.ndarray) -> None:
        self.lengths, self.budget = lengths, budget
        remaining = (batch[~done[batch]] for batch in batches(lengths, budget))
        self._batches = deque(batch for batch in remaining if len(batch))
        self._closed = False
        self._lock = threading.Lock()

    def take(self) -> tuple[np.ndarray, int] | None:
        """Return the next batch and the budget that it was cut to, or None if there is no more to do."""
        with self._lock:
            return None if self._closed or not self._batches else (self._batches.popleft(), self.budget)

    def put_back(self, batch: np.ndarray, its_budget: int, device: str) -> None:
        """Return a batch that did not fit in memory, and cut all that remain to half the budget that it had."""
        if len(batch) == 1:
            raise InputError(
                f"{device}: no memory for one sequence of {self.lengths[batch[0]]} tokens; use a device with more "
                "memory, or a lower max_length if the model's settings have one"
            )
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()
        with self._lock:
            if self.budget == its_budget:  # else another worker has already halved it
                self.budget //= 2
                click.echo(f"{device}: out of memory at {its_budget} tokens, going on with {self.budget}", err=True)
            rest = np.concatenate([batch, *self._batches])
            self._batches = deque(rest[part] for part in batches(self.lengths[rest], self.budget))

    def close(self) -> None:
        """Give out no more batches."""
        self._closed = True

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the queue if the code within raises, Ctrl-C included, so that all workers end soon."""
        try:
            yield
        except BaseException:
            self.close()
            raise

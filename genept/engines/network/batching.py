"""Running a network over many sequences: batches by length, one worker a GPU, smaller batches where memory ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import click
import numpy as np
import torch

from genept.core.cli import progress_bar
from genept.core.errors import InputError
from genept.engines.network import checkpoints as kept
from genept.engines.network import job as jobs
from genept.engines.network.job import Job

#: Tokens in a batch: enough to keep the processor busy, few enough for its cache. On two cores 2,048 was fastest.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 131072}

Inputs = Callable[[], Iterable[Any]]  # bytes and arrays, as hashlib takes them


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


def run(
    forward: Callable[[str, np.ndarray], torch.Tensor],
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
        One worker runs on each; they take turns by what is next, which has no effect on the vectors.
    label
        Stands before the progress bar, or before the lines in a log (`genept.engines.network.job`).
    tokens_per_batch
        By default what `TOKENS_PER_BATCH` says of the kind of device.
    inputs
        Gives all that the vectors depend on beside the job's identity: precision, tokens. Without it, or without a
        job that has a folder, nothing is kept of a run that is broken off.

    Returns
    -------
    Float32, shape (n_sequences, n_dimensions), in the order of the sequences; zeros for a sequence of length 0.

    Raises
    ------
    InputError
        If one sequence alone does not fit in memory. If a batch does not, the batches left are cut to half as many
        tokens, which is said on standard error.

    Notes
    -----
    An error in a worker, Ctrl-C and SIGTERM end all workers after the batch that each has under way. What long work has
    finished by then is kept for the next run, see `genept.engines.network.checkpoints`.
    """
    budget = tokens_per_batch or TOKENS_PER_BATCH[torch.device(devices[0]).type]
    vectors = np.zeros((len(lengths), n_dimensions), dtype=np.float32)
    lock = threading.Lock()
    job = jobs.current()
    record = None
    done = np.zeros(len(lengths), dtype=bool)
    if job:
        job.announce(len(lengths), devices)
    if job and job.folder and inputs:
        kinds = sorted({torch.device(device).type for device in devices})
        record = kept.Record(job.folder, partial(digest, job, inputs, lengths, [n_dimensions, budget, kinds]), vectors)
        done = record.restore()
        if done.any():
            click.echo(f"{job.name}: {done.sum():,} of them are there from a run that was broken off", err=True)
    left = Left(lengths, budget, done)
    log = jobs.Log(label, int(np.count_nonzero(lengths)), int(lengths.sum()))

    def work(device: str) -> None:
        with left.dropped_on_error():
            while taken := left.take():
                batch, tried = taken
                rows = attempt(forward, device, batch)
                if rows is None:
                    left.put_back(batch, tried, device)
                    continue
                vectors[batch] = rows
                with lock:
                    count(batch)
                    if record:
                        record.add(batch)

    def count(rows: np.ndarray) -> None:
        bar.update(len(rows))
        log.add(len(rows), int(lengths[rows].sum()))

    with progress_bar(label, int(np.count_nonzero(lengths)), "sequence") as bar:
        count(np.flatnonzero(done))
        try:
            if len(devices) == 1:
                work(devices[0])
            else:
                with ThreadPoolExecutor(len(devices)) as pool, left.dropped_on_error():
                    list(pool.map(work, devices))
        finally:
            if record:
                record.close()
    return vectors


def digest(
    job: Job,
    inputs: Inputs,
    lengths: np.ndarray,
    others: list[Any],
) -> str:
    """Return a hash of all that the vectors of a run depend on, also by rounding."""
    found = hashlib.sha256(json.dumps([job.identity(), torch.__version__, others, len(lengths)]).encode())
    for part in (lengths, *inputs()):
        found.update(part)
    return found.hexdigest()


class Left:
    """The batches that nobody has taken yet, for workers in several threads.

    Parameters
    ----------
    lengths
        Tokens of every sequence, shape (n_sequences,).
    budget
        Tokens in a batch.
    done
        Sequences that are left out, shape (n_sequences,), bool. The others are in the same batches as without that, so
        that their vectors are the same to the last bit.
    """

    def __init__(self, lengths: np.ndarray, budget: int, done: np.ndarray) -> None:
        self.lengths = lengths
        self.budget = budget
        rests = (batch[~done[batch]] for batch in batches(lengths, budget))
        self._batches = deque(batch for batch in rests if len(batch))
        self._dropped = False
        self._lock = threading.Lock()

    def take(self) -> tuple[np.ndarray, int] | None:
        """Return the next batch and the budget that it was cut to, or None if there is no more to do."""
        with self._lock:
            return None if self._dropped or not self._batches else (self._batches.popleft(), self.budget)

    def put_back(self, batch: np.ndarray, tried: int, device: str) -> None:
        """Give back a batch that did not fit in memory and cut all that is left to half the budget that it had.

        Raises
        ------
        InputError
            If it is a single sequence.
        """
        if len(batch) == 1:
            raise InputError(
                f"{device}: no memory for one sequence of {self.lengths[batch[0]]} tokens; lower the model's length "
                "limit in params.yaml, or take another device"
            )
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()
        with self._lock:
            if self.budget == tried:  # else another worker has already halved it
                self.budget //= 2
                click.echo(f"{device}: out of memory at {tried} tokens, going on with {self.budget}", err=True)
            rest = np.concatenate([batch, *self._batches])
            self._batches = deque(rest[part] for part in batches(self.lengths[rest], self.budget))

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """Leave no batch to take if what is done within ends early, be it by Ctrl-C; then workers end soon."""
        try:
            yield
        except BaseException:
            with self._lock:
                self._dropped = True
            raise


def attempt(forward: Callable[[str, np.ndarray], torch.Tensor], device: str, batch: np.ndarray) -> np.ndarray | None:
    """Return the vectors of a batch, or None if they do not fit in memory.

    The error ends here, because as long as it lives it keeps what filled the memory.
    """
    try:
        with torch.inference_mode():
            return forward(device, batch).float().cpu().numpy()
    except RuntimeError as error:  # on a GPU of a kind of its own, on a processor known by its text
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return None
        raise

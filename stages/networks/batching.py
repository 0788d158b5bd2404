"""Running a network over many sequences: batches by length, one worker a GPU, smaller batches where memory ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np
import torch

from stages.cli import progress_bar
from stages.errors import InputError

#: Tokens in a batch: enough to keep the processor busy, few enough for its cache. On two cores 2,048 was fastest.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 131072}


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
        Stands before the progress bar.
    tokens_per_batch
        By default what `TOKENS_PER_BATCH` says of the kind of device.

    Returns
    -------
    Float32, shape (n_sequences, n_dimensions), in the order of the sequences; zeros for a sequence of length 0.

    Raises
    ------
    InputError
        If one sequence alone does not fit in memory. If a batch does not, the batches left are cut to half as many
        tokens, which is said on standard error.
    """
    budget = tokens_per_batch or TOKENS_PER_BATCH[torch.device(devices[0]).type]
    left = deque(batches(lengths, budget))
    vectors = np.zeros((len(lengths), n_dimensions), dtype=np.float32)
    lock = threading.Lock()

    def work(device: str) -> None:
        nonlocal budget, left
        while True:
            with lock:
                if not left:
                    return
                batch, tried = left.popleft(), budget
            rows = attempt(forward, device, batch)
            if rows is None:
                if len(batch) == 1:
                    raise InputError(
                        f"{device}: no memory for one sequence of {lengths[batch[0]]} tokens; lower the model's length "
                        "limit in params.yaml, or take another device"
                    )
                if torch.device(device).type == "cuda":
                    torch.cuda.empty_cache()
                with lock:
                    if budget == tried:  # else another worker has already halved it
                        budget //= 2
                        click.echo(f"{device}: out of memory at {tried} tokens, going on with {budget}", err=True)
                    rest = np.concatenate([batch, *left])
                    left = deque(rest[part] for part in batches(lengths[rest], budget))
                continue
            vectors[batch] = rows
            with lock:
                bar.update(len(batch))

    with progress_bar(label, int(np.count_nonzero(lengths)), "sequence") as bar:
        if len(devices) == 1:
            work(devices[0])
        else:
            with ThreadPoolExecutor(len(devices)) as pool:
                list(pool.map(work, devices))
    return vectors


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

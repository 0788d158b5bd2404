"""What the work will take, said before it begins: time, by a trial with some of the cells, disk and memory."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from genept.core import disk
from genept.core.pace import readable
from genept.data.embeddings import matrix_path
from genept.engines.network import job as jobs
from genept.engines.work import Work

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.data.cells import Cells

TRIAL = 32, 64, 256, 1024, 4096  # cells that are tried, until some take `LONG`
LONG = 2.0  # seconds; the first time code is compiled


@dataclass(frozen=True)
class Trial:
    """What a trial with some cells tells of all."""

    seconds: float  # for a cell
    vector: int  # bytes of disk for a cell
    sums: int  # bytes of disk, however many cells there are
    memory: int  # bytes


def of_vectors(work: Work, data: AnnData, reading: float) -> Trial:
    """Embed some of `data`, which took `reading` seconds to read."""
    found: list[np.ndarray] = []

    def attempt(n_cells: int) -> None:
        with jobs.running(jobs.Job(work.name, announced=True)):
            some = data[:n_cells].copy()
            some.uns = copy.deepcopy(some.uns)
            found[:] = [work.embed(some)[0]]

    seconds = reading / data.n_obs + seconds_of_cell(attempt, data.n_obs)
    vector = found[0].nbytes // found[0].shape[-2]
    return Trial(seconds, vector, 0, resident() + of_part(data) + 2 * vector * data.n_obs)


def of_sums(work: Work, cells: Cells, number: int) -> Trial:
    """Add up some cells of a part."""
    began = time.perf_counter()
    data = cells.parts[number].read()
    reading = (time.perf_counter() - began) / data.n_obs
    before, sums = resident(), dict[str, np.ndarray]()
    seconds = reading + seconds_of_cell(lambda n_cells: work.add(data[:n_cells].copy(), sums), data.n_obs)
    n_bytes = sum(values.nbytes for values in sums.values())
    return Trial(seconds, 0, n_bytes, before + n_bytes + of_part(data))


def seconds_of_cell(attempt: Callable[[int], None], n_cells: int) -> float:
    """Return the time that a cell takes, by attempts with more and more of them."""
    tried: list[tuple[int, float]] = []  # cells and seconds
    for n in (min(n, n_cells) for n in TRIAL):
        if len(tried) > 1 and (n == tried[-1][0] or (len(tried) > 2 and tried[-1][1] > LONG)):
            break
        began = time.perf_counter()
        attempt(n)
        tried.append((n, time.perf_counter() - began))
    (fewer, short), (more, longer) = tried[-2:]
    return max(longer - short, 0.0) / max(1, more - fewer)


def of_part(data: AnnData) -> int:
    """Return the bytes that a part takes while something is computed of it, beside what is computed."""
    return 3 * (data.X.data.nbytes + data.X.indices.nbytes)


def say(work: Work, cells: Cells, n_left: int, trial: Trial, n_workers: int = 0) -> None:
    """Say what the rest will take, of `n_workers` or of this process; `InputError` if a disk has not that much room.

    Finished parts are on disk and the vectors of all cells, and at one time two files of sums.
    """
    needs = [(work.kept, trial.vector * n_left + 2 * trial.sums)]
    needs += [(matrix_path(work.dataset, work.model).parent, trial.vector * cells.n_obs)]
    name = f"{work.name}, sums" if trial.sums else work.name
    n_earlier = cells.n_obs - n_left
    resumed = f"{n_earlier:,} of them by an earlier run; " if n_earlier else ""
    seconds = max(trial.seconds, 1e-9) / max(1, n_workers)
    memory = f"{trial.memory / 1e9:.1f} GB of memory" + (f" on each of {n_workers} workers" if n_workers else "")
    click.echo(
        f"{name}: {cells.n_obs:,} cells in {len(cells.parts)} parts, {resumed}needs about {readable(seconds * n_left)} "
        f"({1 / seconds:,.0f} cells/s), {disk.readable(sum(n_bytes for _, n_bytes in needs))} of disk and {memory}",
        err=True,
    )
    disk.require(needs)


def resident() -> int:
    """Return the memory that this process has, in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0

"""Sums over all cells that a model has to know before it embeds some: of expression, products of all pairs of genes.

Each `PARTS` parts of the cells are added up for themselves, by this process or a worker, and these sums are added in
the order of the parts: the result does not depend on who did what when. The sums so far are kept in
``data/cache/embed/<dataset>/<model>/parts/<key>.npz``; the key is a hash of the cells so far and of all else that they
depend on. So a run that was killed goes on behind them, and so does one with further cells. The last two stay, since
the last parts may not be full yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from genept.core.errors import InputError
from genept.core.pace import Pace
from genept.engines import finished, forecast
from genept.engines.network.job import DAMAGE
from genept.engines.work import Work, digest

if TYPE_CHECKING:
    from genept.data.cells import Cells
    from genept.engines.cluster import Workers

PARTS = 8  # that are added up together: 0.6 GB for 12,000 genes travel, and are written, for 131,072 cells
KEPT = 2  # files
Sums = dict[str, np.ndarray]


def over_all(
    work: Work, cells: Cells, base: Sequence[object], workers: Workers | None, folder: Path
) -> tuple[Sums, set[str]]:
    """Return the sums of all cells, and the names of the files that are kept.

    `base` are hashes of what they depend on beside the cells.
    """
    groups = [range(first, min(first + PARTS, len(cells.parts))) for first in range(0, len(cells.parts), PARTS)]
    paths, key = list[Path](), digest([*base, "sums"])
    for group in groups:
        key = digest([key, [cells.parts[number].identity() for number in group]])
        paths.append(folder / f"{key[:32]}.npz")
    n_done = next((n for n in range(len(paths), 0, -1) if finished.are_whole(paths[n - 1])), 0)
    if n_done:
        paths[n_done - 1].touch()  # `stages.clean` takes what is older than the last run that finished
    kept = {path.name for path in paths[-KEPT:]}
    if n_done == len(paths):
        return finished.read_sums(paths[-1]), kept
    missing = groups[n_done:]
    with Pace(f"{work.name}, sums", cells.n_obs) as pace:
        pace.add(cells.parts[missing[0].start].rows.start, earlier=True)
        if workers:
            n_left = f"{len(cells.parts) - missing[0].start} of {len(cells.parts)}"
            click.echo(f"{work.name}: sums of {n_left} parts, Dask workers: {workers.n}", err=True)
            for _, trial in workers.results(forecast.of_sums, [missing[0].start], folder):
                forecast.say(work, cells, cells.n_obs - pace.n_done, trial, workers.n)
            results = workers.results(add_up, missing, folder, in_turn=True)
        else:
            results = here(work, cells, missing, pace)
        number = n_done - 1
        for _, sums in results:  # `enumerate` would keep them until the next have been made
            number += 1
            if number and not paths[number - 1].exists():  # another run is ahead, and has removed it
                return over_all(work, cells, base, workers, folder)
            if number:
                add(paths[number - 1], sums)
            finished.write_sums(paths[number], sums)
            if number >= KEPT:
                paths[number - KEPT].unlink(missing_ok=True)
            pace.reach(cells.parts[groups[number].stop - 1].rows.stop)
            if number + 1 < len(groups):
                del sums  # before the next come
    return sums, kept


def here(work: Work, cells: Cells, groups: list[range], pace: Pace) -> Iterator[tuple[range, Sums]]:
    """Add up groups of parts, one after the other, and yield each with its sums."""
    trial = forecast.of_sums(work, cells, groups[0].start)
    forecast.say(work, cells, cells.n_obs - pace.n_done, trial)
    for group in groups:
        yield group, add_up(work, cells, group, lambda number: pace.reach(cells.parts[number].rows.stop))


def add_up(work: Work, cells: Cells, group: range, done: Callable[[int], None] = lambda _: None) -> Sums:
    """Return the sums of some parts."""
    sums: Sums = {}
    for number in group:
        work.add(cells.parts[number].read(), sums)
        done(number)
    return sums


def add(path: Path, sums: Sums) -> None:
    """Add the sums of all cells before; the sum of two numbers does not depend on their order."""
    try:
        finished.add_sums(path, sums)
    except DAMAGE as error:
        path.unlink(missing_ok=True)
        raise InputError(f"{path}: damaged meanwhile ({error}); run again") from None

"""Embedding the cells of a dataset some after the other, so that any number of them takes the memory of one part.

Each part of the cells (`genept.data.cells.Cells`) is embedded for itself. Where there are several, a finished part is
kept in ``data/cache/embed/<dataset>/<model>/parts/<key>.npz`` (`genept.engines.finished`). The key is a hash of all
that the part depends on: its cells and genes, the model's settings, seed and files, the engine's code with all that it
imports, threads, the kind of device and the versions of the libraries. So a run that was killed goes on with the next
part, further cells make further parts, and a part that is damaged is made again.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genept.core import compute, files, notes
from genept.core.errors import InputError
from genept.core.pace import Pace
from genept.engines import cluster, finished, forecast, sums
from genept.engines.network import job as jobs
from genept.engines.work import Result, Work, digest

if TYPE_CHECKING:
    from genept.data.cells import Cells, Some
    from genept.data.embeddings import Writer


def run(work: Work, cells: Cells, writer: Writer) -> dict[str, Any]:
    """Embed all cells, and return the notes."""
    folder = work.kept
    if len(cells.parts) > 1 and not work.needs_all:
        return run_parts(work, cells, writer)
    with jobs.running(jobs.Job(work.name, folder, lambda: digest([work.identity, cells.ids_sha256]))):
        matrix, found = work.embed(cells.whole())
    writer.add(matrix)
    jobs.remove_checkpoints(folder)
    return found


def run_parts(work: Work, cells: Cells, writer: Writer) -> dict[str, Any]:
    """Embed the cells part by part, in any order, then put the parts together in theirs."""
    folder = work.kept / "parts"
    on_cluster = work.params.executor == "dask" and work.is_free
    with cluster.connected(work) if on_cluster else contextlib.nullcontext() as workers:
        device = workers.device if workers else compute.resolve_device(work.params.device)
        base = [work.identity, device, {one: version(one) for one in cluster.LIBRARIES}]
        totals, used = sums.over_all(work, cells, base, workers, folder) if work.has_sums else ({}, set[str]())
        shared = work.survey(cells, totals)
        del totals
        keys = [digest([*base, shared, part.identity(), *work.annotations(part)])[:32] for part in cells.parts]
        paths = [folder / f"{key}.npz" for key in keys]
        done = dict[int, dict[str, Any]]()
        for number, path in enumerate(paths):
            if (seen := finished.look_at(path)) is not None:
                writer.check_shape(seen[0])
                done[number] = seen[1]
                path.touch()  # `stages.clean` takes what is older than the last run that finished
        missing = [number for number in range(len(paths)) if number not in done]
        with Pace(work.name, cells.n_obs) as pace:
            pace.add(sum(size(cells.parts[number]) for number in done), earlier=True)
            if workers:
                results = embed_on_workers(work, cells, shared, missing, folder, pace, workers)
            else:
                results = embed_here(work, cells, shared, missing, paths, pace)
            for number, (vectors, found) in results:
                writer.checked(vectors)  # before it is kept, or the next run would find it
                notes.merged([*[*done.values()][:1], found])
                finished.write_part(paths[number], vectors, found)
                jobs.remove_checkpoints(paths[number].with_suffix(""))
                done[number] = found
                pace.reach(sum(size(cells.parts[one]) for one in done))
                del vectors  # before the next come
    for path in paths:
        try:
            vectors, _ = finished.read_part(path)
        except jobs.DAMAGE as error:
            raise InputError(f"{path}: damaged meanwhile ({error}); run again, the other parts stay") from None
        writer.add(vectors)
    files.write_json(folder / "used.json", sorted(used | {path.name for path in paths}))
    return notes.merged([done[number] for number in range(len(paths))])


def embed_here(
    work: Work, cells: Cells, shared: dict[str, Any], missing: Sequence[int], paths: Sequence[Path], pace: Pace
) -> Iterator[tuple[int, Result]]:
    """Embed some parts one after the other, and yield the number and the result of each."""
    for number in missing:
        began = time.perf_counter()
        data = cells.parts[number].read()
        data.uns |= copy.deepcopy(shared)  # which the model may change
        if number == missing[0]:
            trial = forecast.of_vectors(work, data, time.perf_counter() - began)
            forecast.say(work, cells, cells.n_obs - pace.n_done, trial)
        own = paths[number].with_suffix("")
        with jobs.running(jobs.Job(work.name, own, functools.partial(str, own.name), True, pace)):
            result = work.embed(data)
        del data  # before the next are read
        yield number, result
        del result


def embed_on_workers(
    work: Work,
    cells: Cells,
    shared: dict[str, Any],
    missing: Sequence[int],
    folder: Path,
    pace: Pace,
    workers: cluster.Workers,
) -> Iterator[tuple[int, Result]]:
    """Have some parts embedded, and yield the number and the result of each as they come."""
    click.echo(f"{work.name}: {len(missing)} of {len(cells.parts)} parts, Dask workers: {workers.n}", err=True)
    for _, trial in workers.results(functools.partial(try_part, shared=shared), missing[:1], folder):
        forecast.say(work, cells, cells.n_obs - pace.n_done, trial, workers.n)
    yield from workers.results(functools.partial(embed_part, shared=shared), missing, folder)


def embed_part(work: Work, cells: Cells, number: int, shared: dict[str, Any]) -> Result:
    """Embed a part on a worker."""
    data = cells.parts[number].read()
    data.uns |= copy.deepcopy(shared)
    with jobs.running(jobs.Job(work.name, announced=True)):
        return work.embed(data)


def try_part(work: Work, cells: Cells, number: int, shared: dict[str, Any]) -> forecast.Trial:
    """Embed some cells of a part on a worker, to tell what all will take."""
    began = time.perf_counter()
    data = cells.parts[number].read()
    data.uns |= copy.deepcopy(shared)
    return forecast.of_vectors(work, data, time.perf_counter() - began)


def size(part: Some) -> int:
    """Return the number of cells of a part."""
    return part.rows.stop - part.rows.start

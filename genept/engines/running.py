"""Embedding the cells of a dataset some after the other, so that any number of them takes the memory of one part.

Each part of the cells (`genept.data.cells.Cells`) is embedded for itself. Where there are several, a finished part is
kept in ``data/cache/embed/<dataset>/<model>/parts/<key>.npz`` (``vectors``, float32, and ``notes``), written under a
temporary name and renamed. The key is a hash of all that the part depends on: its cells and genes, the model's
settings, seed and files, the engine's code with all that it imports, the kind of device and the versions of the
libraries. So a run that was killed goes on with the next part, further cells make further parts, and a part that is
damaged is made again: the checksums of the file tell.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from genept.core import compute, files, notes
from genept.core.errors import InputError, ParamsError
from genept.core.pace import Pace, readable
from genept.core.params import Params
from genept.data.cells import of as cells_of
from genept.data.embeddings import Writer
from genept.engines import cluster, custom
from genept.engines import config as models
from genept.engines.network import job as jobs

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client

    from genept.data.cells import Cells, Some

ABOUT = {"title", "note", "paper", "source"}  # settings of a model's file that move no number
TRIAL = 32, 64, 256, 1024, 4096  # cells that are embedded to tell how long all will take, until some take `LONG`
LONG = 2.0  # seconds; the first time code is compiled
Result = tuple[np.ndarray, dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A model that is to embed a dataset."""

    dataset: str
    model: str
    params: Params

    def __reduce__(self) -> tuple[type[Work], tuple[str, str, Params]]:
        """Travel to a worker without what was read here."""
        return Work, (self.dataset, self.model, self.params)

    @property
    def name(self) -> str:
        """What stands before its lines in a log."""
        return f"{self.dataset} x {self.model}"

    @property
    def is_free(self) -> bool:
        """Whether it costs no money, which several workers would spend without knowing of each other."""
        return getattr(getattr(self.config, "embed", None), "encoder", None) != "openai"

    @functools.cached_property
    def config(self) -> Any:
        """The model's settings."""
        return models.read(self.model)

    @functools.cached_property
    def code(self) -> ModuleType:
        """The module that embeds."""
        return models.code(self.model, self.config)

    @property
    def is_control(self) -> bool:
        """Whether the gene vectors are made from those of another model."""
        return bool(self.config.engine and getattr(self.config, "control", None))

    @functools.cached_property
    def folder(self) -> Path:
        """What an earlier stage made or fetched for the model, of a control for the first of grid.models.genept_w."""
        if not self.is_control:
            return models.MODELS / self.model
        if not self.params.grid.models.genept_w:
            raise ParamsError("params.yaml: grid.models.genept_w is empty; a control is made from its first model")
        return models.MODELS / self.params.grid.models.genept_w[0]

    @property
    def needs_all(self) -> bool:
        """Whether the embedding of a cell depends on the other cells, as far as is known."""
        return self.config.engine is None and not getattr(self.code, "BY_PARTS", False)

    def embed(self, cells: AnnData) -> Result:
        """Embed some cells: float32, shape ([n_draws,] n_cells, n_dimensions), and notes."""
        if self.is_control:
            result = self.code.embed_control(cells, self.folder, self.config, self.params.device, seed=self.params.seed)
        elif self.config.engine:
            result = self.code.embed(cells, self.folder, self.config, self.params.device)
        else:
            result = custom.embed(self.code, cells, self.folder, self.config, self.params.device)
        return result

    def embed_all(self, cells: Cells) -> Result:
        """Embed all cells at once, by code of which nobody knows better; it may read them part by part."""
        if hasattr(self.code, "embed_parts"):
            return custom.embed_parts(self.code, cells, self.folder, self.config, self.params.device)
        return self.embed(cells.whole())

    def annotations(self, part: Some) -> list[str]:
        """Return the annotations of some cells if they may move a number: only code of users is given to read them."""
        return [] if self.config.engine else [part.obs().to_csv()]

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """Hashes of what an embedding depends on beside cells and code."""
        own = [path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        model_files = {path.relative_to(self.folder).as_posix(): files.sha256(path) for path in own}
        settings = [self.config.model_dump(mode="json", exclude=ABOUT), self.params.seed if self.is_control else None]
        return {f"settings of {self.model}": digest(settings), f"files in {self.folder}": digest(model_files)}

    @functools.cached_property
    def identity(self) -> str:
        """A hash of all that an embedding depends on beside the cells."""
        return digest([self.hashes, files.code_sha256(Path(str(self.code.__file__)))])


def digest(content: Any) -> str:
    """Return a hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def run(work: Work, cells: Cells, writer: Writer) -> dict[str, Any]:
    """Embed all cells, and return the notes."""
    folder = files.shared(jobs.CHECKPOINTS) / work.dataset / work.model
    if len(cells.parts) > 1 and not work.needs_all:
        return run_parts(work, cells, writer, folder / "parts")
    with jobs.running(jobs.Job(work.name, folder, lambda: digest([work.identity, cells.ids_sha256]))):
        matrix, found = work.embed_all(cells) if work.needs_all else work.embed(cells.parts[0].read())
    writer.add(matrix)
    jobs.remove_checkpoints(folder)
    return found


def run_parts(work: Work, cells: Cells, writer: Writer, folder: Path) -> dict[str, Any]:
    """Embed the cells part by part, in any order, then put the parts together in theirs."""
    survey = getattr(work.code, "survey", None)
    shared = survey(cells) if survey else {}
    on_cluster = work.params.executor == "dask" and work.is_free
    with cluster.connected(work.params) if on_cluster else contextlib.nullcontext() as client:
        expected = expected_of_workers(client, work) if client else {}
        device = expected.get(cluster.DEVICE) or compute.resolve_device(work.params.device)
        base = [work.identity, shared, device, {one: version(one) for one in cluster.LIBRARIES}]
        keys = [digest([*base, part.identity(), *work.annotations(part)])[:32] for part in cells.parts]
        paths = [folder / f"{key}.npz" for key in keys]
        done = {number: found for number, path in enumerate(paths) if (found := read_notes(path)) is not None}
        for number in done:
            paths[number].touch()  # `stages.clean` takes what is older than the last run that finished
        missing = [number for number in range(len(paths)) if number not in done]
        with Pace(work.name, cells.n_obs) as pace:
            pace.add(sum(size(cells.parts[number]) for number in done), earlier=True)
            if client:
                n_workers = len(client.scheduler_info()["workers"])
                click.echo(f"{work.name}: {len(missing)} of {len(paths)} parts on {n_workers} Dask workers", err=True)
                task = functools.partial(embed_on_worker, work, shared, expected, str(Path.cwd()))
                names = [paths[number].stem for number in missing]
                results = cluster.each(client, missing, names, task, folder)
            else:
                results = embed_here(work, cells, shared, missing, paths, pace)
            for number, (vectors, found) in results:
                write_part(paths[number], vectors, found)
                jobs.remove_checkpoints(paths[number].with_suffix(""))
                done[number] = found
                pace.reach(sum(size(cells.parts[one]) for one in done))
                del vectors  # before the next come
    for path in paths:
        try:
            writer.add(read_part(path)[0])
        except jobs.DAMAGE as error:
            raise InputError(f"{path}: damaged meanwhile ({error}); run again, the other parts stay") from None
    files.write_json(folder / "used.json", sorted(path.name for path in paths))
    return notes.merged([done[number] for number in range(len(paths))], f"{work.name}: notes")


def embed_here(
    work: Work, cells: Cells, shared: dict[str, Any], missing: Sequence[int], paths: Sequence[Path], pace: Pace
) -> Iterator[tuple[int, Result]]:
    """Embed some parts one after the other, and yield the number and the result of each."""
    for number in missing:
        began = time.perf_counter()
        data = cells.parts[number].read()
        data.uns |= shared
        if number == missing[0]:
            announce(work, data, cells, pace.n_done, time.perf_counter() - began)
        own = paths[number].with_suffix("")
        with jobs.running(jobs.Job(work.name, own, functools.partial(str, own.name), True, pace)):
            result = work.embed(data)
        del data  # before the next are read
        yield number, result
        del result


def expected_of_workers(client: Client, work: Work) -> dict[str, str]:
    """Return what all workers must have in common; `InputError` if one of those that are there differs."""
    own = facts_of_worker(work, str(Path.cwd()))
    if "error" in own:
        raise InputError(own["error"])
    found = client.run(facts_of_worker, work, str(Path.cwd()))
    expected = own | {cluster.DEVICE: next(iter(found.values())).get(cluster.DEVICE, own[cluster.DEVICE])}
    for worker, facts in found.items():
        cluster.compare(facts, expected, worker)
    return expected


def facts_of_worker(work: Work, root: str) -> dict[str, str]:
    """Return what the vectors depend on, on a worker, as its files are now."""

    def hashes() -> dict[str, str]:
        identities = [part.identity() for part in cells_of(work.dataset).parts]
        return {f"cells of {work.dataset}": digest(identities), **Work(work.dataset, work.model, work.params).hashes}

    return cluster.facts(hashes, work.params, root)


def embed_on_worker(work: Work, shared: dict[str, Any], expected: dict[str, str], root: str, number: int) -> Result:
    """Embed a part on a worker, which may have come after the others; `InputError` if it is not as they are."""
    cluster.compare(facts_of_worker(work, root), expected, cluster.where())
    with cluster.prepared(work.params, root):
        data = cells_of(work.dataset).parts[number].read()
        data.uns |= shared
        with jobs.running(jobs.Job(work.name, announced=True)):
            return work.embed(data)


def size(part: Some) -> int:
    """Return the number of cells of a part."""
    return part.rows.stop - part.rows.start


def announce(work: Work, data: AnnData, cells: Cells, n_earlier: int, reading: float) -> None:
    """Say what the rest of the work will take: time, from a trial with some of the cells `data`, disk and memory.

    They took the seconds `reading` to read. `InputError` if the disk has not that much room.
    """
    tried: list[tuple[int, float]] = []  # cells and seconds
    for n_cells in (min(n, data.n_obs) for n in TRIAL):
        if len(tried) > 1 and (n_cells == tried[-1][0] or (len(tried) > 2 and tried[-1][1] > LONG)):
            break
        began = time.perf_counter()
        with jobs.running(jobs.Job(work.name, announced=True)):
            vectors, _ = work.embed(data[:n_cells].copy())
        tried.append((n_cells, time.perf_counter() - began))
    (fewer, short), (more, longer) = tried[-2:]
    each = max(longer - short, 0.0) / max(1, more - fewer) + reading / data.n_obs
    n_left = cells.n_obs - n_earlier
    of_cell = vectors.nbytes // vectors.shape[-2]
    needed = of_cell * (cells.n_obs + n_left)
    memory = resident() + 3 * (data.X.data.nbytes + data.X.indices.nbytes) + 2 * of_cell * data.n_obs
    resumed = f"{n_earlier:,} of them by an earlier run; " if n_earlier else ""
    time_left = f"about {readable(each * n_left)} ({1 / each:,.0f} cells/s)"
    click.echo(
        f"{work.name}: {cells.n_obs:,} cells in {len(cells.parts)} parts, {resumed}needs {time_left}, "
        f"{needed / 1e9:.1f} GB of disk and {memory / 1e9:.1f} GB of memory",
        err=True,
    )
    if (free := shutil.disk_usage(cells.folder).free) < needed:
        raise InputError(
            f"needs {needed / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are left; free some space and run again, "
            "finished parts stay"
        )


def resident() -> int:
    """Return the memory that this process has, in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def write_part(path: Path, vectors: np.ndarray, found: dict[str, Any]) -> None:
    """Write the vectors of a part and its notes."""
    packed = np.frombuffer(json.dumps(notes.packed(found)).encode(), dtype=np.uint8)
    with files.replacing(path) as temporary:
        np.savez(temporary, vectors=np.ascontiguousarray(vectors, dtype=np.float32), notes=packed)


def read_part(path: Path) -> Result:
    """Read a part; an error of `jobs.DAMAGE` if there is none, or it is damaged."""
    arrays = []
    with zipfile.ZipFile(path) as archive:
        for name in ("vectors.npy", "notes.npy"):
            with archive.open(name) as stream:
                arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
                if stream.read(1):  # then the checksum has not been compared, which is of all
                    raise ValueError("more values than the header declares")
    vectors, found = arrays[0], notes.unpacked(json.loads(arrays[1].tobytes()))
    if vectors.dtype != np.float32 or vectors.ndim not in (2, 3) or not isinstance(found, dict):
        raise ValueError("unexpected arrays")
    return vectors, found


def read_notes(path: Path) -> dict[str, Any] | None:
    """Return the notes of a finished part; None if there is none that is whole."""
    if not path.exists():
        return None
    try:
        return read_part(path)[1]
    except jobs.DAMAGE:
        click.echo(f"{path}: damaged; its cells are computed again", err=True)
        return None

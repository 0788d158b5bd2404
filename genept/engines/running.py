"""Embedding the cells of a dataset some after the other, so that any number of them takes the memory of one part.

Each part of the cells (`genept.data.cells.Cells`) is embedded for itself. Where there are several, a finished part is
kept in ``data/cache/embed/<dataset>/<model>/parts/<key>.npz`` (``vectors``, float32, and ``notes``), written under a
temporary name and renamed. The key is a hash of all that the part depends on: its cells and genes, the model's
settings, seed and files, the engine's code with all that it imports, the kind of device and the versions of the
libraries. So a run that was killed goes on with the next part, further cells make further parts, and a part that is
damaged is made again: the checksums of the file tell.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import time
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
from genept.data.embeddings import Writer
from genept.engines import config as models
from genept.engines import custom
from genept.engines.network import job as jobs

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.data.cells import Cells, Some

LIBRARIES = ("numba", "numpy", "scipy", "torch", "tokenizers", "transformers")
ABOUT = {"title", "note", "paper", "source"}  # settings of a model's file that move no number
TRIAL = 32, 32, 512  # cells that are embedded to tell how long all will take; the first time code is compiled
Result = tuple[np.ndarray, dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A model that is to embed a dataset."""

    dataset: str
    model: str
    params: Params

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

    @functools.cached_property
    def identity(self) -> str:
        """A hash of all that an embedding depends on beside the cells."""
        own = [path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        hashes = {path.relative_to(self.folder).as_posix(): files.sha256(path) for path in own}
        settings = self.config.model_dump(mode="json", exclude=ABOUT)
        code = files.code_sha256(Path(str(self.code.__file__)))
        seed = self.params.seed if self.is_control else None
        return digest([settings, seed, code, hashes])


def digest(content: Any) -> str:
    """Return a hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def run(work: Work, cells: Cells, writer: Writer) -> dict[str, Any]:
    """Embed all cells, and return the notes."""
    name = f"{work.dataset} x {work.model}"
    folder = files.shared(jobs.CHECKPOINTS) / work.dataset / work.model
    if len(cells.parts) > 1 and not work.needs_all:
        return run_parts(work, cells, writer, name, folder / "parts")
    with jobs.running(jobs.Job(name, folder, lambda: digest([work.identity, cells.ids_sha256]))):
        matrix, found = work.embed_all(cells) if work.needs_all else work.embed(cells.parts[0].read())
    writer.add(matrix)
    jobs.remove_checkpoints(folder)
    return found


def run_parts(work: Work, cells: Cells, writer: Writer, name: str, folder: Path) -> dict[str, Any]:
    """Embed the cells part by part, in any order, then put the parts together in theirs."""
    survey = getattr(work.code, "survey", None)
    shared = survey(cells) if survey else {}
    base = [work.identity, shared, compute.resolve_device(work.params.device), {one: version(one) for one in LIBRARIES}]
    paths = [folder / f"{digest([*base, part.identity()])[:32]}.npz" for part in cells.parts]
    done = {number: found for number, path in enumerate(paths) if (found := read_notes(path)) is not None}
    for number in done:
        paths[number].touch()  # `stages.clean` takes what is older than the last run that finished
    missing = [number for number in range(len(paths)) if number not in done]
    n_earlier = sum(size(cells.parts[number]) for number in done)
    with Pace(name, cells.n_obs) as pace:
        pace.add(n_earlier, earlier=True)
        for number in missing:
            began = time.perf_counter()
            data = cells.parts[number].read()
            data.uns |= shared
            if number == missing[0]:
                announce(work, data, name, cells, n_earlier, time.perf_counter() - began)
            own = folder / paths[number].stem
            with jobs.running(jobs.Job(name, own, functools.partial(str, own.name), True, pace)):
                vectors, found = work.embed(data)
            write_part(paths[number], vectors, found)
            del data, vectors  # before the next are read
            jobs.remove_checkpoints(own)
            done[number] = found
            pace.reach(n_earlier + sum(size(cells.parts[one]) for one in missing if one in done))
    for path in paths:
        vectors = read_part(path)[0]
        writer.add(vectors)
    files.write_json(folder / "used.json", sorted(path.name for path in paths))
    return notes.merged([done[number] for number in range(len(paths))], f"{name}: notes")


def size(part: Some) -> int:
    """Return the number of cells of a part."""
    return part.rows.stop - part.rows.start


def announce(work: Work, data: AnnData, name: str, cells: Cells, n_earlier: int, reading: float) -> None:
    """Say what the rest of the work will take: time, from a trial with some of the cells `data`, disk and memory.

    They took the seconds `reading` to read. `InputError` if the disk has not that much room.
    """
    seconds = []
    for n_cells in TRIAL:
        began = time.perf_counter()
        with jobs.running(jobs.Job(name, announced=True)):
            vectors, _ = work.embed(data[: min(n_cells, data.n_obs)].copy())
        seconds.append(time.perf_counter() - began)
    more = max(seconds[-1] - seconds[-2], 0.0) / max(1, min(TRIAL[-1], data.n_obs) - TRIAL[-2])
    each = more + reading / data.n_obs
    n_left = cells.n_obs - n_earlier
    of_cell = vectors.nbytes // vectors.shape[-2]
    needed = of_cell * (cells.n_obs + n_left)
    memory = resident() + 3 * (data.X.data.nbytes + data.X.indices.nbytes) + 2 * of_cell * data.n_obs
    resumed = f"{n_earlier:,} of them by an earlier run; " if n_earlier else ""
    click.echo(
        f"{name}: {cells.n_obs:,} cells in {len(cells.parts)} parts, {resumed}needs about {readable(each * n_left)} "
        f"({1 / each:,.0f} cells/s), {needed / 1e9:.1f} GB of disk and {memory / 1e9:.1f} GB of memory",
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
    with np.load(path, allow_pickle=False) as archive:
        vectors, found = archive["vectors"], notes.unpacked(json.loads(archive["notes"].tobytes()))
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

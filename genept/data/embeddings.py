"""Embeddings on disk: ``data/<dataset>/embeddings/<model>.npy`` with a small JSON of provenance beside it.

The matrix is float32, one row per cell of ``data/<dataset>/labelled`` in the same order, and can be memory-mapped. A
control that is drawn several times has a matrix for each draw, in one array of shape (n_draws, n_cells, n_dimensions).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from genept.core import files
from genept.core.config import explain
from genept.core.errors import InputError
from genept.core.readers import read_foreign, read_matrix
from genept.data import cells

if TYPE_CHECKING:
    import numpy as np


class Notes(BaseModel):
    """The types of what a later stage reads of an embedding's provenance; a model may note more."""

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())

    dataset: str
    model: str
    n_cells: PositiveInt
    n_dimensions: PositiveInt
    n_draws: PositiveInt | None = None
    cell_ids_sha256: str
    comparable: bool = True
    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\r\n]*$")] | None = None  # printed below tables
    device: str | None = None
    n_genes: NonNegativeInt | None = None
    n_genes_missing: NonNegativeInt | None = None
    n_genes_missing_exact: NonNegativeInt | None = None
    n_cells_without_gene: NonNegativeInt | None = None
    share_of_counts_missing: Annotated[float, Field(ge=0, le=1)] | None = None
    n_cells_truncated: NonNegativeInt | None = None
    n_truncated: NonNegativeInt | None = None
    max_length: NonNegativeInt | None = None
    base: str | None = None  # these of a fine-tuned embedding only
    annotation: str | None = None
    finetune: dict[str, Any] | None = None
    unseen_cells: list[NonNegativeInt] | None = None


LARGEST = 1e15  # beyond, squared distances in float32 are infinite
FINETUNED = ("base", "annotation", "finetune", "unseen_cells")


def check_notes(content: dict[str, Any], where: str) -> dict[str, Any]:
    """Return an embedding's provenance; `InputError` if a stage could not read it."""
    try:
        notes = Notes.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None
    present = [name for name in FINETUNED if getattr(notes, name) is not None]
    if present and len(present) < len(FINETUNED):
        raise InputError(f"{where}: {present[0]} is of a fine-tuned embedding, which has {', '.join(FINETUNED)}")
    unseen = notes.unseen_cells or []
    if sorted(set(unseen)) != unseen or (unseen and unseen[-1] >= notes.n_cells):
        raise InputError(f"{where}: unseen_cells should be rows of the {notes.n_cells} cells, in order, each once")
    return content


def matrix_path(dataset: str, model: str) -> Path:
    """Path of an embedding's matrix."""
    return cells.DATA / dataset / "embeddings" / f"{model}.npy"


def notes_path(dataset: str, model: str) -> Path:
    """Path of an embedding's provenance."""
    return matrix_path(dataset, model).with_suffix(".json")


def write(dataset: str, model: str, matrix: np.ndarray, cell_ids: Sequence[str], notes: dict[str, Any]) -> None:
    """Write an embedding, shape (n_cells, n_dimensions), or several draws of one, as float32, and its provenance.

    `notes` and errors are those of `writing`.
    """
    with writing(dataset, model, len(cell_ids), cells.ids_digest(cell_ids)) as writer:
        writer.add(matrix)
        writer.notes = notes


class Writer:
    """Takes an embedding some cells after the other; `notes` are to be set before the end.

    The first cells are written when the next come, or at the end: of a model that gives them all at once nothing is
    written before everything is checked.
    """

    def __init__(self, begin: Callable[[], Path], name: str, n_cells: int) -> None:
        self.begin, self.name, self.n_cells = begin, name, n_cells
        self.n_added = self.n_written = self.n_zeros = 0
        self.shape: tuple[int, ...] = ()  # of the whole: ([n_draws,] n_cells, n_dimensions)
        self.notes: dict[str, Any] = {}
        self.path: Path | None = None
        self.waiting: np.ndarray | None = None

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` if some cells have no vectors, or of other dimensions and draws than those before."""
        whole = (*shape[:-2], self.n_cells, *shape[-1:])
        if len(shape) not in (2, 3) or 0 in shape:
            raise InputError(f"{self.name}: the model gave {shape} for {self.n_cells} cells")
        if self.shape and whole != self.shape:
            raise InputError(
                f"{self.name}: the model gave {described(shape)} for some cells, {described(self.shape)} for others"
            )
        self.shape = whole

    def checked(self, matrix: np.ndarray) -> np.ndarray:
        """Return vectors of some cells as (n_draws, n, n_dimensions) of float32; `InputError` as in `writing`."""
        import numpy as np

        with np.errstate(over="ignore"):  # what float32 does not reach is infinite
            matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        self.check_shape(matrix.shape)
        draws = matrix if matrix.ndim == 3 else matrix[np.newaxis]
        good = np.all([(np.abs(draw) < LARGEST).all(axis=1) for draw in draws], axis=0)
        if bad := int((~good).sum()):
            raise InputError(
                f"{self.name}: {bad} of {len(good)} cells have NaN or infinite coordinates, or some above {LARGEST:g}"
            )
        return draws

    def add(self, matrix: np.ndarray) -> None:
        """Take cells, shape (n, n_dimensions) or, of several draws, (n_draws, n, n_dimensions)."""
        draws = self.checked(matrix)
        self.n_added += draws.shape[1]
        self.n_zeros += int((~draws[0].any(axis=1)).sum())
        self.write()
        self.waiting = draws

    def write(self) -> None:
        """Write what was taken."""
        import numpy as np

        if self.waiting is None:
            return
        self.path = self.path or self.begin()
        with self.path.open("r+b" if self.n_written else "wb") as stream:
            described = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(stream, described)  # as numpy.save writes it
            start = stream.tell()
            for number, draw in enumerate(self.waiting):
                stream.seek(start + 4 * (number * self.n_cells + self.n_written) * draw.shape[1])
                stream.write(draw.data)
        self.n_written += self.waiting.shape[1]
        self.waiting = None


def described(shape: tuple[int, ...]) -> str:
    """Say how many dimensions and draws an embedding has."""
    return f"{shape[-1]} dimensions" + (f" in {shape[0]} draws" if len(shape) == 3 else "")


@contextlib.contextmanager
def writing(dataset: str, model: str, n_cells: int, cell_ids_sha256: str) -> Iterator[Writer]:
    """Give what an embedding is written with, some cells after the other; it takes its place when all are there.

    Its notes are what a reader needs to trust the numbers: engine, settings, missing genes. They must not hold a date
    or a path, so that equal runs give equal files; they do not replace what the file says (dataset, model, sizes,
    draws). `InputError` if a value is NaN or infinite, or rows and cells differ in number, or there is no dimension.
    """
    name = f"{model} on {dataset}"
    with contextlib.ExitStack() as stack:  # nothing is written before the first cells are there
        writer = Writer(lambda: stack.enter_context(files.replacing(matrix_path(dataset, model))), name, n_cells)
        yield writer
        if not writer.shape or writer.n_added != n_cells:
            given = writer.shape and (*writer.shape[:-2], writer.n_added, writer.shape[-1])
            raise InputError(f"{name}: the model gave {given or 'nothing'} for {n_cells} cells")
        header = {"dataset": dataset, "model": model, "n_cells": n_cells, "n_dimensions": int(writer.shape[-1])}
        header |= {"n_draws": int(writer.shape[0])} if len(writer.shape) == 3 else {}
        header["cell_ids_sha256"] = cell_ids_sha256
        content = check_notes({**header, **writer.notes, **header}, f"{name}: notes")
        writer.write()
    files.write_json(notes_path(dataset, model), content)


def read(dataset: str, model: str, cell_ids: Sequence[str]) -> np.ndarray:
    """Memory-map an embedding, shape (n_cells, n_dimensions): of several draws the first.

    `InputError` if its rows are not the given cells in their order.
    """
    return read_draws(dataset, model, cell_ids)[0]


def read_draws(dataset: str, model: str, cell_ids: Sequence[str]) -> np.ndarray:
    """Memory-map all draws of an embedding as `read` one: shape (n_draws, n_cells, n_dimensions), one without draws."""
    notes, path = read_notes(dataset, model), matrix_path(dataset, model)
    if notes["cell_ids_sha256"] != cells.ids_digest(cell_ids):
        raise InputError(f"{path}: made for other cells than {cells.obs_path(dataset)}; {again(dataset, model)}")
    matrix = read_matrix(path, again(dataset, model))
    shape = (*([notes["n_draws"]] if "n_draws" in notes else []), notes["n_cells"], notes["n_dimensions"])
    if matrix.shape != shape or notes["n_cells"] != len(cell_ids):
        raise InputError(f"{path}: has shape {matrix.shape}, its notes say {shape}; {again(dataset, model)}")
    return matrix if matrix.ndim == 3 else matrix.reshape(1, *shape)


def read_notes(dataset: str, model: str) -> dict[str, Any]:
    """Read an embedding's provenance; `InputError` if it is damaged, or of another embedding."""
    path = notes_path(dataset, model)
    notes = check_notes(read_foreign(path), str(path))
    if (notes["dataset"], notes["model"]) != (dataset, model):
        raise InputError(f"{path}: of {notes['model']} on {notes['dataset']}; {again(dataset, model)}")
    return notes


def again(dataset: str, model: str) -> str:
    """Say what makes an embedding anew."""
    return f"`python -m stages.embed {dataset} {model}` makes it anew"

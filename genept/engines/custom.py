"""Code of users: ``models/<model>.py``, whose errors and results become one line if they are not what is expected."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genept.core.errors import InputError, ParamsError
from genept.data.embeddings import FINETUNED

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

    from genept.data.cells import Cells

TERMINATED = 128 + signal.SIGTERM  # with which a stage ends that is asked to, see `genept.core.cli`


def load(file: Path, base: type) -> ModuleType:
    """Import ``models/<model>.py``; `ParamsError` without the file, a `Model` derived from `base`, or an ``embed``."""
    spec = importlib.util.spec_from_file_location(f"models_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ParamsError(f"{file.as_posix()}: no such file; a model whose yaml names no engine needs it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks up the annotations of its classes
    if sys.modules.get("dask", spec) is None and b"dask" in file.read_bytes():
        del sys.modules["dask"]  # which `genept.core.cli.prepare` has hidden
    with explained(file):
        spec.loader.exec_module(module)
    for needed in ("Model", "embed"):
        if not callable(getattr(module, needed, None)):
            raise ParamsError(f"{file.as_posix()}: has no {needed}; models/expression.py is an example")
    if not isinstance(module.Model, type) or not issubclass(module.Model, base):
        raise ParamsError(f"{file.as_posix()}: Model should derive from {base.__module__}.{base.__name__}")
    return module


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """Turn what a user's code raises, its end by ``sys.exit`` included, into one line: where in `file`, and which."""
    try:
        with contextlib.chdir("."):  # back here, wherever the code goes
            yield
    except (InputError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code == TERMINATED:
            raise
        report = traceback.TracebackException.from_exception(error)
        own = [frame.lineno for frame in report.stack if Path(frame.filename).resolve() == file.resolve()]
        if isinstance(error, SyntaxError) and Path(error.filename or "").resolve() == file.resolve():
            own = [error.lineno]
        where = f", line {own[-1]}" if own else ""
        what = next(line for line in report.format_exception_only() if not line.startswith(" "))
        raise InputError(f"{file.as_posix()}{where}: {' '.join(what.split())[:400]}") from None


def embed(
    code: ModuleType, cells: AnnData, folder: Path, config: Any, device: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Run ``embed`` of a user's module; return the embedding, shape (n_cells, n_dimensions), and its notes.

    Taken are tensors, data frames and sparse matrices, and notes with the numbers and arrays of numpy. The code may
    change X and var of `cells`, which nothing else reads. `InputError` if the code fails, returns anything else, or
    has filtered or reordered the cells.
    """
    ids = list(cells.obs_names)
    with explained(Path(str(code.__file__))):
        return check(code.embed(cells, folder, config, device), cells, ids)


def add(code: ModuleType, cells: AnnData, sums: dict[str, np.ndarray], config: Any) -> None:
    """Run ``add`` of a user's module, which adds some cells to `sums`: arrays of float64 of one dimension, by name."""
    import numpy as np

    with explained(Path(str(code.__file__))):
        code.add(cells, sums, config)
    for name, values in sums.items():
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
            raise InputError(f"add: {name!r} should be an array of float64 of one dimension")


def survey(code: ModuleType, cells: Cells, sums: dict[str, np.ndarray], config: Any) -> dict[str, Any]:
    """Run ``survey`` of a user's module, which returns what each part of the cells gets in ``uns``.

    These are arrays of numbers or texts, and what JSON has, so that a hash tells them from others.
    """
    import numpy as np

    def known(name: str, value: Any) -> Any:
        is_array = isinstance(value, np.ndarray) and value.dtype.kind in "biufUS"
        return value if is_array else plain(value, f"survey: {name}")

    for name, values in sums.items():
        if not math.isfinite(values.sum()):
            raise InputError(f"add: {name!r} has become NaN or infinite")
    with explained(Path(str(code.__file__))):
        found = code.survey(cells, sums, config)
    if not isinstance(found, Mapping):
        raise InputError(f"survey should return a dict, not {type(found).__name__}")
    return {name: known(str(name), value) for name, value in found.items()}


def check(returned: Any, cells: AnnData, ids: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """Check what a user's model has returned for the cells `ids`; see `embed`."""
    after = list(cells.obs_names)
    if after != ids:
        what = "reordered or renamed" if len(after) == len(ids) else f"reduced to {len(after):,}"
        raise InputError(
            f"embed has changed `cells` in place: its {len(ids):,} cells were {what}; work on `cells.copy()`, and "
            "return a row for each of the given cells, in their order"
        )
    return checked(returned, len(ids), ids)


def checked(returned: Any, n_cells: int, ids: Sequence[str] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """Check that a user's model has returned a matrix with a row for each cell, and notes."""
    if not isinstance(returned, tuple | list) or len(returned) != 2 or not isinstance(returned[1], Mapping | None):
        kinds = [type(part).__name__ for part in returned] if isinstance(returned, tuple) else [type(returned).__name__]
        raise InputError(f"embed should return a matrix and a dict of notes, not {' and '.join(kinds) or 'nothing'}")
    notes = {} if returned[1] is None else plain(returned[1], "notes")
    if reserved := [name for name in FINETUNED if name in notes]:
        raise InputError(f"notes: {reserved[0]} belongs to fine-tuned embeddings; choose another name")
    return as_matrix(returned[0], n_cells, ids), notes


def as_matrix(values: Any, n_cells: int, ids: Sequence[str] | None) -> np.ndarray:
    """Return what a user's model gives as an array of numbers, shape (n_cells, n_dimensions)."""
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    torch = sys.modules.get("torch")  # a model that gives tensors has imported it
    kind = type(values).__name__
    if isinstance(values, pd.DataFrame):
        if ids is not None and not isinstance(values.index, pd.RangeIndex) and list(values.index) != list(ids):
            raise InputError("embed returned a DataFrame whose index is not the given cells in their order")
        values = values.to_numpy()
    elif sp.issparse(values):
        values = values.toarray()
    try:
        if torch is not None and isinstance(values, torch.Tensor):
            values = values.detach().to_dense().cpu()
            values = (values.float() if values.is_floating_point() else values).numpy()
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        matrix = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"embed returned {kind}, which is no matrix ({' '.join(str(error).split())[:200]})") from None
    if matrix.dtype.kind not in "biuf":
        raise InputError(f"embed returned {kind} of {matrix.dtype}; the embedding should be of real numbers")
    if matrix.ndim != 2 or len(matrix) != n_cells or not matrix.shape[1]:
        hint = "; transpose it" if matrix.ndim == 2 and matrix.shape[1] == n_cells else ""
        raise InputError(
            f"embed returned a matrix of shape {matrix.shape}, expected a row for each of {n_cells:,} cells and a "
            f"column for each dimension{hint}"
        )
    return matrix


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Return a note as JSON holds it: numbers and arrays of numpy and torch become Python's, other objects an error."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping) and depth < 20:
        if other := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"{where}: the key {other[0]!r} is {type(other[0]).__name__}, not text")
        return {key: plain(item, f"{where}: {key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < 20:
        return [plain(item, where, depth + 1) for item in value]
    is_text = isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
    is_number = isinstance(value, int) and abs(value) < 2**63
    if value is None or is_text or is_number or (isinstance(value, float) and math.isfinite(value)):
        return value
    what = value if isinstance(value, float) else f"{type(value).__name__} {str(value)[:50]!r}"
    raise InputError(f"{where}: {what} is nothing that JSON has; note numbers, text, true, false, lists and dicts")

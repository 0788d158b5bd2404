"""Reading what stages hand each other: JSON of a known shape, tables with typed columns, matrices; and foreign JSON.

Whatever is wrong with a file is one line that names the file, what is wrong, and how to make it again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from genept.core import files
from genept.core.config import explain
from genept.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Table = dict[str, list[Any]]  # the values of each column, line by line
Reader = Callable[[str], Any]  # of a field; `ValueError` says what is wrong with it
LONGEST = 160  # characters of a reason


def number(text: str) -> float:
    """Read a finite number; `ValueError` for anything else."""
    if "_" in text or not math.isfinite(value := float(text)):  # Python reads 1_000, a table does not hold it
        raise ValueError(f"{text!r} is no finite number")
    return value


def count(text: str) -> int:
    """Read a whole number that is not negative; `ValueError` for anything else."""
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is no count")
    return int(text)


def exactly(*known: str) -> Reader:
    """Return a reader that takes some texts only."""

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"{text!r} instead of {' or '.join(known)}")
        return text

    return read


def optional(kind: Reader) -> Reader:
    """Return a reader that takes an empty field for None."""
    return lambda text: kind(text) if text else None


def read_json(path: Path, shape: Any, stage: str) -> Any:
    """Read JSON that a stage writes, such as ``label@covid``, and check it against a type; NaN is refused."""
    content = read_bytes(path, stage)
    try:
        return TypeAdapter(shape).validate_json(content, strict=True)
    except ValidationError as error:
        raise damaged(path, stage, explain(error)) from None


def read_table(
    path: Path,
    columns: Mapping[str, Reader],
    stage: str,
    others: Callable[[str], Reader] = lambda name: str,
    key: str = "",
    may_be_empty: bool = True,
) -> Table:
    """Read a CSV file that a stage writes, with a reader for each column, such as `str`, `number` or `count`.

    All of `columns` must be there; `others` returns the reader of another column by its name. No two lines have the
    same `key`.
    """
    try:
        text = read_bytes(path, stage).decode("utf-8")
        return parse_table(text, columns, others, key, may_be_empty)
    except (ValueError, csv.Error) as error:
        raise damaged(path, stage, str(error)) from None


def parse_table(
    text: str,
    columns: Mapping[str, Reader],
    others: Callable[[str], Reader] = lambda name: str,
    key: str = "",
    may_be_empty: bool = True,
) -> Table:
    """Read the text of a CSV file as `read_table`; `ValueError` or `csv.Error` says what is wrong with it."""
    if text and not text.endswith("\n"):
        raise ValueError("its last line is cut")
    heading, *lines = csv.reader(io.StringIO(text, newline=""), strict=True) if text else [[]]
    if absent := [name for name in columns if name not in heading]:
        raise ValueError(f"no column {', '.join(absent)}" if heading else "it is empty")
    if len(set(heading)) < len(heading):
        raise ValueError("two columns have one name")
    for place, line in enumerate(lines, start=1):
        if len(line) != len(heading):
            raise ValueError(f"row {place} has {len(line)} fields, the heading {len(heading)}")
    if not lines and not may_be_empty:
        raise ValueError("no row below the heading")
    values = zip(*lines, strict=True) if lines else ([] for _ in heading)
    table = {
        name: column_of(name, some, columns.get(name) or others(name))
        for name, some in zip(heading, values, strict=True)
    }
    if key and len(set(table[key])) < len(lines):
        raise ValueError(f"two rows have the same {key}")
    return table


def column_of(name: str, texts: Iterable[str], read: Reader) -> list[Any]:
    """Read the values of a column; `ValueError` names the first that is none."""
    values = []
    for place, text in enumerate(texts, start=1):
        try:
            values.append(read(text))
        except ValueError as error:
            raise ValueError(f"{name} in row {place}: {error}") from None
    return values


def rows_of(table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, by the names of its columns."""
    return (dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True))


def read_bytes(path: Path, stage: str) -> bytes:
    """Read a file whole; `InputError` if it is missing, or a folder, pipe or device."""
    if not path.is_file():
        if path.exists():
            raise damaged(path, stage, "no ordinary file")
        again = f"`dvc repro {stage}` makes it" if "." not in stage else f"`git checkout {path}` restores it"
        raise InputError(f"{path}: no such file; {again}")
    return path.read_bytes()


def damaged(path: Path, stage: str, reason: str) -> InputError:
    """Return the error of a file that is not what its maker writes: a stage, or a module whose file is committed."""
    by, again = stage.partition("@")[0], f"`dvc repro --force --single-item {stage}` makes it again"
    if "." in stage:
        by, again = f"`python -m {stage}`", f"`git checkout {path}` restores it"
    reason = " ".join(reason.split())
    return InputError(f"{path}: not what {by} writes ({reason[:LONGEST]}); {again}")


def read_foreign(path: Path, kind: type = dict) -> Any:
    """Read a JSON object, or a list, from a file that another program wrote; `InputError` if it holds anything else."""
    files.require_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({foreign(path) or error}); make or fetch it again") from None
    if not isinstance(content, kind):
        wanted = "object" if kind is dict else "array"
        raise InputError(f"{path}: expected a JSON {wanted}, not {type(content).__name__}; make or fetch it again")
    return content


def read_matrix(path: Path, again: str, dtype: str | None = "float32") -> np.ndarray:
    """Map an array of finite numbers in a ``.npy`` file into memory; `again` tells how to make the file anew.

    `dtype` is the type it must have, None for any whole or floating-point numbers, which then may be NaN, too. Nothing
    is reserved for what the header declares. `InputError` if the file is not as long as that, or holds anything else.
    """
    import tokenize

    import numpy as np

    files.require_file(path)
    try:
        with np.errstate(over="ignore"):
            matrix = np.lib.format.open_memmap(path, mode="r")
        reason = "" if matrix.offset + matrix.nbytes == path.stat().st_size else "more bytes than its header declares"
    except (
        ValueError,
        TypeError,
        OverflowError,
        SyntaxError,
        RecursionError,
        MemoryError,
        tokenize.TokenError,
    ) as error:
        reason = foreign(path) or " ".join(str(error).split())[:120]
    if not reason and (matrix.dtype.kind not in "iuf" if dtype is None else matrix.dtype != dtype):
        reason = f"{matrix.dtype} instead of {dtype or 'numbers'}"
    if not reason and dtype is not None:
        rows = matrix if matrix.ndim > 1 else matrix.reshape(1, -1)
        step = 1024 if rows.ndim == 2 else 1  # rows, or draws, at a time
        if not all(np.isfinite(rows[start : start + step]).all() for start in range(0, len(rows), step)):
            reason = "NaN or infinite numbers in it"
    if reason:
        raise InputError(f"{path}: not a readable matrix ({reason}); {again}")
    return matrix


def foreign(path: Path) -> str | None:
    """Say what stands in the place of a file that could not be read, if its first bytes tell."""
    with path.open("rb") as stream:
        start = stream.read(512).lstrip()
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself"
    if start[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not the file itself"
    return None if start else "empty"

"""Files of finished parts: vectors of some cells with their notes, and sums over cells.

They are uncompressed ``.npz``, written under a temporary name and renamed; checksums tell one that is damaged.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from genept.core import files, notes
from genept.core.errors import InputError
from genept.engines.network import job as jobs
from genept.engines.work import Result

BYTES_AT_ONCE = 1 << 24  # of sums that are added to others


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


def look_at(path: Path) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """Return the shape of a finished part's vectors, and its notes; None if there is none that is whole."""
    if not path.exists():
        return None
    try:
        vectors, found = read_part(path)
        return vectors.shape, found
    except jobs.DAMAGE:
        click.echo(f"{path}: damaged; its cells are computed again", err=True)
        return None


def write_sums(path: Path, sums: dict[str, np.ndarray]) -> None:
    """Write sums, arrays of one dimension of float64."""
    with files.replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **sums)


def add_sums(path: Path, sums: dict[str, np.ndarray]) -> None:
    """Add those of a file to `sums`, in place and without a second copy in memory.

    An error of `jobs.DAMAGE` if it is damaged, `InputError` if its sums are of other names or lengths.
    """

    def require(is_same: bool) -> None:
        if not is_same:
            raise InputError(f"add: for some cells it gave other sums than {describe(sums)}; give the same for all")

    with zipfile.ZipFile(path) as archive:
        require(set(archive.namelist()) == {f"{name}.npy" for name in sums})
        for name, values in sums.items():
            with archive.open(f"{name}.npy") as stream:
                np.lib.format.read_magic(stream)
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                require((shape, dtype) == (values.shape, values.dtype))
                start = 0
                while content := stream.read(BYTES_AT_ONCE):
                    piece = np.frombuffer(content, dtype)
                    values[start : start + len(piece)] += piece
                    start += len(piece)


def describe(sums: dict[str, np.ndarray]) -> str:
    """Name sums and their lengths."""
    return ", ".join(f"{name} ({len(values):,})" for name, values in sums.items()) or "none"


def read_sums(path: Path) -> dict[str, np.ndarray]:
    """Read sums that `are_whole`."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def are_whole(path: Path) -> bool:
    """Whether there are finished sums, without reading them into memory; damaged ones are removed."""
    if not path.exists():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is None:
                return True
    except jobs.DAMAGE:
        pass
    click.echo(f"{path}: damaged; its cells are added up again", err=True)
    path.unlink(missing_ok=True)
    return False

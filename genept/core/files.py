"""Files that are either whole or not there: everything is written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
ROOT = Path(__file__).parents[2]  # the folder that holds the package genept
SETTINGS = ["genept.downloads"]  # imported for the form of `source` only, which moves no number


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def imported_files(path: Path, root: Path = ROOT) -> list[Path]:
    """Return a Python file and all files under `root` that it imports, directly or not, also within functions.

    An import whose name is computed when the code runs (`importlib.import_module`) is not seen, nor is `SETTINGS`.
    Nothing is executed.
    """
    from modulefinder import ModuleFinder

    finder = ModuleFinder([str(root)], excludes=SETTINGS)
    finder.run_script(str(path))
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted(Path(file) for file in files if file)


def code_sha256(path: Path, root: Path = ROOT) -> str:
    """Return a hash of the content of `imported_files`, so that results can be keyed by the code that makes them."""
    parts = sorted(hashlib.sha256(file.read_bytes()).digest() for file in imported_files(path, root))
    return hashlib.sha256(b"".join(parts)).hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    The temporary name keeps the suffix of `path`, because several writers choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; on success it takes the place of `path`, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = Path(folder) / "new"
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(Path(folder) / "old")
        temporary.rename(path)


@contextlib.contextmanager
def writing_h5(path: Path) -> Iterator[Any]:
    """Give a new HDF5 file in memory, and write it to `path` in one piece.

    On a full disk HDF5 itself crashes the process, when it closes the file or at the end. The bytes are the same.
    """
    import h5py

    with h5py.File(path.name, "w", driver="core", backing_store=False, block_size=16 << 20) as file:
        yield file
        file.flush()
        path.write_bytes(file.id.get_file_image())


def check_room(path: Path, n_bytes: int) -> None:
    """Raise `OSError` if a file cannot grow by so many bytes, before HDF5 finds out, which would crash."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as stream:
            size = path.stat().st_size
            os.posix_fallocate(stream.fileno(), size, n_bytes)
            stream.truncate(size)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    with path.open(encoding="utf-8") as stream:
        return json.load(stream)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with keys in the given order; NaN and infinity are refused (`ValueError`)."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

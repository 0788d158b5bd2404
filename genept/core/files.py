"""Files that are either whole or not there: everything is written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genept.core.errors import InputError

CHUNK = 1 << 20
ROOT = Path(__file__).parents[2]  # the folder that holds the package genept
SETTINGS = ["genept.downloads"]  # imported for the form of `source` only, which moves no number


def require_file(path: Path) -> Path:
    """Return a path to read; refuse a folder, and a pipe or device, which nothing must wait for.

    That there is no such file raises `FileNotFoundError`.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise InputError(f"{path}: is {kind}, not a file; put the file there, or correct the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    require_file(path)
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


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    require_file(path)
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

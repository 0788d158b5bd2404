"""Files that are either whole or not there: everything is written under a temporary name, then renamed."""

from __future__ import annotations

import ast
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genept.core.errors import InputError

CHUNK = 1 << 20
ROOT = Path(__file__).parents[2]  # the folder that holds the package genept
WRITING, EARLIER = ".writing-", "earlier"  # beginning of the names of temporary folders; a folder within one
REMOVALS = (0.02, 0.1, 0.5, 0.0)  # seconds to wait after each attempt to remove a folder
TEMPORARY = (".dvc", "tmp", "exps")  # where DVC runs experiments that do not touch the workspace
SETTINGS = ["genept.downloads"]  # imported for the form of `source` only, which moves no number


def shared(folder: Path) -> Path:
    """Return where a cache such as ``data/cache/embed`` is: in an experiment's temporary folder, the repository's own.

    ``dvc exp run --temp`` and the queue work in ``.dvc/tmp/exps/<name>``, which is removed when they end.
    """
    for parent in Path.cwd().parents:
        if parent.parts[-3:] == TEMPORARY:
            return parent.parents[2] / folder
    return folder


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

    Modules beside the file count as well: a model of a user may have put its folder on ``sys.path``. An import whose
    name is computed when the code runs (`importlib.import_module`) is not seen, nor is `SETTINGS`. Nothing is executed.
    """
    found, waiting = set[Path](), [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            names, folders = list[str](), [root, path.parent]
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                folders = [file.parents[node.level - 1]] if node.level else folders
                names = [".".join(filter(None, [node.module, alias.name])) for alias in node.names]
            waiting += [one for name in names for one in module_files(name, folders)]
    return sorted(found)


def module_files(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of a module and of the packages that it is in, of those in some folders."""
    words = name.split(".")
    for n_words in range(1, len(words) + 1):
        if ".".join(words[:n_words]) in SETTINGS:
            return
        for folder in folders:
            module = folder.joinpath(*words[:n_words])
            candidates = module.with_name(f"{module.name}.py"), module / "__init__.py"
            if own := next((file for file in candidates if file.is_file()), None):
                yield own
                break


def code_sha256(path: Path, root: Path = ROOT) -> str:
    """Return a hash of the content of `imported_files`, so that results can be keyed by the code that makes them."""
    parts = sorted(hashlib.sha256(file.read_bytes()).digest() for file in imported_files(path, root))
    return hashlib.sha256(b"".join(parts)).hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    The temporary name keeps the suffix of `path`, because several writers choose the format by it.
    """
    with writing(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; on success it takes the place of `path`, else it is removed.

    On Linux the two folders change places at once. Elsewhere a process that is killed between two renames leaves the
    earlier folder in the temporary one, from where `sweep` puts it back.
    """
    with writing(path.parent) as folder:
        temporary = folder / path.name
        temporary.mkdir()
        yield temporary
        if not path.exists() or not exchange(temporary, path):
            if path.exists():
                (folder / EARLIER).mkdir()
                path.rename(folder / EARLIER / path.name)
            temporary.rename(path)


@contextlib.contextmanager
def writing(parent: Path) -> Iterator[Path]:
    """Give a temporary folder in `parent`, locked as long as this process lives, and remove it at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    is_swept = not parent.name.startswith(WRITING)  # what is in a temporary folder is this process's own
    with locked(parent) if is_swept else contextlib.nullcontext():  # no other one sweeps before the folder has its lock
        folder = Path(tempfile.mkdtemp(prefix=WRITING, dir=parent))
        lock = lock_of(folder)
    try:
        yield folder
    finally:
        for wait in REMOVALS:
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(wait)  # after an error threads of a library, zarr's, may still write into it
        if lock is not None:
            os.close(lock)


def sweep(*roots: Path) -> list[Path]:
    """Remove the temporary folders that killed processes left under some folders, and return them.

    The kernel frees a lock when its process ends, however it ends, so a folder with a lock is in use. An earlier
    output that a killed process had moved away, and not replaced, returns to its place.
    """
    swept = []
    for parent, names, _ in (found for root in roots for found in os.walk(root)):
        left = [Path(parent, name) for name in names if name.startswith(WRITING)]
        names[:] = [name for name in names if not name.startswith(WRITING)]
        with locked(Path(parent)) if left else contextlib.nullcontext():
            for folder in left:
                lock = lock_of(folder)
                if lock is None:
                    continue
                for earlier in (folder / EARLIER).glob("*"):
                    if not (folder.parent / earlier.name).exists():
                        earlier.rename(folder.parent / earlier.name)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                swept.append(folder)
    return swept


def lock_of(path: Path, wait: bool = False) -> int | None:
    """Lock a file or folder for this process; return the descriptor to close, None if another process has the lock.

    On a file system without locks, every file counts as locked by another process.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out that lock the same file or folder; they wait."""
    lock = lock_of(path, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; return whether the system and the file system can do that."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2  # of Linux
    except (AttributeError, OSError):
        return False
    here, exchanged = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchanged) == 0


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

"""Files on this machine: ``files: {raw.h5ad: {path: /where/it/is.h5ad}}``.

A relative path starts at the source's ``folder``, a relative ``folder`` (default: the repository) at the repository.
``where`` says where a file is to be had that each user must get by hand: the error prints it while the file is missing.
It stands in the source for all files, or with a file for that one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genept.core.errors import Absent, InputError
from genept.downloads import copy, required


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Copy the files into `folder`; the originals are left alone.

    Raises
    ------
    InputError
        If one is not there.
    """
    paths = {target: locate(source, target) for target in source["files"]}
    for target, path in paths.items():
        if not path.is_file():
            line = explain(source, target, path)
            raise InputError(line) if path.is_dir() else Absent(line, "no such file")
    for target, path in paths.items():
        with path.open("rb") as stream:
            copy(stream, folder / target, path.stat().st_size)


def locate(source: dict[str, Any], target: str) -> Path:
    """Return where a file is expected; a tilde is the user's home."""
    (path,) = required(source, "path", target=target)
    return Path(str(source.get("folder") or "")).expanduser() / Path(path).expanduser()


def explain(source: dict[str, Any], target: str, path: Path) -> str:
    """Say in one line what is wrong with a file's path, and where to get the file if the entry says so."""
    if path.is_dir():
        return f"{path.absolute()}: is a folder, not a file; correct the path of {target} in params.yaml"
    where = source["files"][target].get("where") or source.get("where")
    if where is None:
        return f"{path.absolute()}: no such file; correct the path of {target} in params.yaml, or put it there"
    return (
        f"{path.absolute()}: no such file; to get it: {' '.join(str(where).split()).rstrip('.')}. Then put it into the "
        f"folder {path.absolute().parent} as {path.name}, or correct the path of {target} in params.yaml"
    )

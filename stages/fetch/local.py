"""Files on this machine: ``files: {raw.h5ad: {path: /where/it/is.h5ad}}``; a relative path starts at the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.fetch import copy, required


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Copy the files into `folder`; the originals are left alone.

    Raises
    ------
    InputError
        If one is not there.
    """
    for target in source["files"]:
        (path,) = map(Path, required(source, "path", target=target))
        path = path.expanduser()
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "no such file"
            raise InputError(f"{path.absolute()}: {what}; correct the path of {target} in params.yaml, or put it there")
        with path.open("rb") as stream:
            copy(stream, folder / target, path.stat().st_size)

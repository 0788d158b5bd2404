"""What a run's digits depend on beyond its settings: the commit of the code, and the kind of processor."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

from threadpoolctl import threadpool_info

CODE = ("dvc.yaml", "params.yaml", "requirements.txt", "genept", "stages", "data", "models")


class Commit(NamedTuple):
    """The last commit of the code and settings: short hash, date, and whether files have changed since."""

    hash: str
    date: str  # ISO 8601, of the commit
    is_changed: bool


def commit(folder: Path = Path()) -> Commit | None:
    """Return the last commit that touched `CODE`, so that a commit of results or texts changes nothing.

    None outside a git repository.
    """
    said = git(folder, "log", "-1", "--format=%h %cs", "--abbrev=12", "--", *CODE)
    if not said:
        return None
    name, date = said.split()
    return Commit(name, date, bool(git(folder, "status", "--porcelain", "--", *CODE)))


def git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints; empty if it fails or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor() -> str:
    """Name the kind of processor, on which the last digits depend: "x86_64, SkylakeX kernels"."""
    import numpy  # noqa: F401  loads the library that knows

    kernels = {library["architecture"] for library in threadpool_info() if library.get("architecture")}
    return ", ".join([platform.machine(), *(f"{name} kernels" for name in sorted(kernels))])

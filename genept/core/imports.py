"""Which files of this repository a file's code comes from, so that results can be keyed by it."""

from __future__ import annotations

import hashlib
from modulefinder import ModuleFinder
from pathlib import Path

ROOT = Path(__file__).parents[2]  # the folder that holds the package genept
SETTINGS = ["genept.downloads"]  # imported for the form of `source` only, which moves no number


def closure(path: Path, root: Path = ROOT) -> list[Path]:
    """Return a Python file and all files under `root` that it imports, directly or not, also within functions.

    An import whose name is computed when the code runs (`importlib.import_module`) is not seen, nor is `SETTINGS`.
    Nothing is executed.
    """
    finder = ModuleFinder([str(root)], excludes=SETTINGS)
    finder.run_script(str(path))
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted(Path(file) for file in files if file)


def sha256(path: Path, root: Path = ROOT) -> str:
    """Return a hash of the content of a Python file's `closure`; it does not depend on where the files lie."""
    parts = sorted(hashlib.sha256(file.read_bytes()).digest() for file in closure(path, root))
    return hashlib.sha256(b"".join(parts)).hexdigest()

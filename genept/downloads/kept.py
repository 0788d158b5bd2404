"""Files of an entry that have come and are right, kept while others of the entry are still to come from elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def keeping(store: Path, where: str, source: dict[str, Any]) -> Iterator[Path]:
    """Give the folder of the files that came in this run or in an earlier one for exactly that entry.

    It is removed at the end; after an error it stays with what is in it.
    """
    key = hashlib.sha256(json.dumps([where, source], sort_keys=True, default=str).encode()).hexdigest()[:32]
    kept = store / f"entry-{key}"
    try:
        yield kept
        shutil.rmtree(kept, ignore_errors=True)
    finally:
        for folder in (*sorted(kept.rglob("*"), reverse=True), kept):
            with contextlib.suppress(OSError):
                folder.rmdir()  # only an empty folder can be removed so


@contextlib.contextmanager
def making(kept: Path) -> Iterator[Path]:
    """Give an empty folder; the files in it at the end become kept ones, none if there was an error."""
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=kept) as name:
        made = Path(name)
        yield made
        for path in [path for path in made.rglob("*") if path.is_file()]:
            target = kept / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)

"""Where a table of labels came from: a file that somebody put on this machine, or one that was published."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from genept.core import files
from genept.core.errors import InputError
from genept.datasets.entry import LabelTable

ATTEMPTS, TAKEN = "attempts.json", "taken"  # written by `genept.downloads`: of each place what came of it
LOCAL = "local"  # the kind of a place on this machine


def local_paths(source: dict[str, Any], target: str) -> tuple[str | None, ...]:
    """Return of each place that a file may come from its path on this machine, `None` of a place elsewhere.

    Of an absolute path the name is left, since a record is the same on every machine.
    """
    item = source["files"][target]
    return tuple(local_path(source, {**item, **place}) for place in item.get("candidates", [{}]))


def local_path(source: dict[str, Any], place: dict[str, Any]) -> str | None:
    """Return the path of a place on this machine, `None` of a place elsewhere."""
    if place.get("kind", source.get("kind")) != LOCAL:
        return None
    folder = place.get("folder", source.get("folder") if source.get("kind") == LOCAL else None)
    path = PurePath(str(folder or "")) / str(place.get("path", ""))
    return f".../{path.name}" if path.is_absolute() else path.as_posix()


def by_hand(folder: Path, table: LabelTable | None) -> dict[str, str]:
    """Return ``path`` and ``sha256`` of the table of labels if it was put on this machine by hand, else nothing.

    Parameters
    ----------
    folder
        The fetched files.

    Raises
    ------
    InputError
        If the folder does not say which of several places the table is from.
    """
    if table is None or not any(table.places):
        return {}
    path = table.places[0] if len(table.places) == 1 else taken(folder / ATTEMPTS, table)
    return {"path": path, "sha256": files.sha256(folder / table.file)} if path else {}


def taken(attempts: Path, table: LabelTable) -> str | None:
    """Return the path of the place that was taken, `None` if it is elsewhere."""
    outcomes = files.read_json(attempts).get(table.file, []) if attempts.is_file() else []
    for path, attempt in zip(table.places, outcomes, strict=False):
        if attempt.get("outcome") == TAKEN:
            return path
    raise InputError(f"{attempts}: does not say which place {table.file} was taken from; fetch it again")

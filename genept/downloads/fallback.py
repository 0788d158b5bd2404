"""Another entry in place of one whose files are not there: the authors' own subset, or else one drawn here.

A source may have ``otherwise``, a whole entry with a source of its own, and for a data set with all that says how its
files are read. It is taken only if a file of the source is not there, as with candidates: any other failure stops. The
folder then has a note, by which the stages that read the files know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genept.core.errors import Absent, ParamsError
from genept.downloads import Fetched, fetch

NOTE = "otherwise.json"


def fetch_either(where: str, source: Any, folder: Path) -> tuple[dict[str, Any], Fetched]:
    """Get the files of a source, or of the entry that takes its place; return the source that gave them, too.

    Raises
    ------
    ParamsError, InputError
        As `genept.downloads.fetch`.
    """
    if not isinstance(source, dict) or "otherwise" not in source:
        return source, fetch(where, source, folder)
    other, own = source["otherwise"], {key: value for key, value in source.items() if key != "otherwise"}
    place = f"{where}.source.otherwise"
    if not isinstance(other, dict) or "otherwise" in (other.get("source") or {}):
        raise ParamsError(f"params.yaml: {place} must be an entry whose source has no otherwise of its own")
    try:
        return own, fetch(where, own, folder)
    except Absent as error:
        reason = error.reason
        click.echo(f"{where}: {error.message}; its `otherwise` takes its place")
    return other.get("source") or {}, fetch(place, other.get("source"), folder, {NOTE: {"because": reason}})

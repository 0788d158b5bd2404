"""Which entry the fetched files are of: the data set's own, or the one that took its place (``source.otherwise``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genept.core import files
from genept.core.errors import InputError

NOTE = "otherwise.json"  # written by `genept.downloads.fallback`


def entry_of(raw: Path, content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the entry that says how the files in `raw` are read, and what to say if it is not the data set's own.

    Parameters
    ----------
    content
        The data set's entry in ``params.yaml``. Its title, note and ``finetune`` stay.

    Returns
    -------
    The entry, and ``title``, ``note`` and ``because`` of the one that took its place; nothing where none did.

    Raises
    ------
    InputError
        If the files are of another entry and ``params.yaml`` no longer has one.
    """
    path = raw / NOTE
    if not path.is_file():
        return content, {}
    other = (content.get("source") or {}).get("otherwise")
    if not isinstance(other, dict):
        raise InputError(f"{raw}: holds files of an `otherwise` that params.yaml no longer has; fetch it again")
    said = {"title": str(other.get("title", "")), "note": str(other.get("note", ""))}
    kept = {key: content[key] for key in ("title", "note", "finetune") if key in content}
    return {**other, **kept}, {**said, "because": str(files.read_json(path)["because"])}

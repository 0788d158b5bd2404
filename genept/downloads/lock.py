"""``data/hashes.lock.yaml``: the sha256 of first downloads, where the settings name none, and of the user's own files.

Keys are ``<settings file without .yaml>/<file>``, and for an archive without ``archive_sha256``
``<...>/archive of <place>``. The file is to be committed: then everyone who runs the repository gets the file that the
first one got, or an error. A sha256 in the settings goes before it.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from genept.core import files
from genept.core.config import Config, explain
from genept.core.errors import InputError
from genept.downloads.place import Sha256

PATH = Path("data/hashes.lock.yaml")
HEADING = (
    "# First downloads of files without a sha256 in the settings, and your own files. Written by fetch; commit it."
)


class Record(Config):
    """A file of the lock; ``place`` is which of several places it came from."""

    sha256: Sha256
    size: int
    date: str
    place: str | None = None


RECORDS = TypeAdapter(dict[str, Record])


def read() -> dict[str, Record]:
    """Return the records by their keys; none if there is no lock yet.

    Raises
    ------
    InputError
        If the lock is damaged. It is never read as an empty one, which would accept any file.
    """
    if not PATH.exists():
        return {}
    try:
        return RECORDS.validate_python(yaml.safe_load(PATH.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, ValueError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise InputError(f"{PATH}: {reason}; restore it with `git checkout {PATH}`") from None


def record(key: str, sha256: str, size: int, place: str | None = None) -> None:
    """Add or replace a record; they are sorted, so that two branches that add files seldom conflict."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    records = {**read(), key: Record(sha256=sha256, size=size, date=today, place=place)}
    content = {key: record.model_dump(exclude_none=True) for key, record in records.items()}
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True, width=1000)
    with files.replacing(PATH) as temporary:
        temporary.write_text(f"{HEADING}\n{text}", encoding="utf-8")

"""``data/hashes.lock.yaml``: the sha256 of first downloads, where the settings name none, and of the user's own files.

Keys are ``<settings file without .yaml>/<file>``, and for an archive without ``archive_sha256``
``<...>/archive of <place>``. The file is to be committed: then everyone who runs the repository gets the file that the
first one got, or an error. A sha256 in the settings goes before it.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import yaml

from genept.core import files
from genept.core.errors import InputError

PATH = Path("data/hashes.lock.yaml")
HEADING = (
    "# First downloads of files without a sha256 in the settings, and your own files. Written by fetch; commit it."
)
RESTORE = f"restore it with `git checkout {PATH}`"
KEYS = {"sha256": str, "size": int, "date": str}


def read() -> dict[str, dict[str, Any]]:
    """Return the records by their keys; none if there is no lock yet.

    Raises
    ------
    InputError
        If the lock is damaged. It is never read as an empty one, which would accept any file.
    """
    try:
        content = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{PATH}: not readable as YAML: {' '.join(str(error).split())}; {RESTORE}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{PATH}: expected a mapping of files; {RESTORE}")
    for key, record in content.items():
        if not isinstance(record, dict) or not all(isinstance(record.get(name), kind) for name, kind in KEYS.items()):
            raise InputError(f"{PATH}: {key} needs sha256, size and date, the sha256 and date in quotes; {RESTORE}")
    return content


def record(key: str, sha256: str, size: int, **more: str) -> None:
    """Add or replace a record; they are sorted, so that two branches that add files seldom conflict."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    entry = {"sha256": sha256, "size": size, "date": today, **more}
    content = yaml.safe_dump({**read(), key: entry}, sort_keys=True, allow_unicode=True, width=1000)
    with files.replacing(PATH) as temporary:
        temporary.write_text(f"{HEADING}\n{content}", encoding="utf-8")

"""The first download's sha256, for files whose publisher names none: a later download must be the same file.

``data/hashes.lock.yaml`` has, per file ``<section>.<name>/<file>``, the sha256, the size in bytes and the day (UTC) of
the first download, and the same of every archive whose ``archive_sha256`` is left out (``_archives.py``). It is meant
to be committed: then everyone who runs the repository gets the file that the first one got, or an error. A sha256 in
``params.yaml`` goes before it.
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
    "# The first download of every file without a sha256 in params.yaml, added by genept.downloads. Commit this file."
)
RESTORE = f"restore it with `git checkout {PATH}`"
KEYS = {"sha256": str, "size": int, "date": str}


def read() -> dict[str, dict[str, Any]]:
    """Return the recorded downloads by ``<section>.<name>/<file>``; none if there is no lock yet.

    Raises
    ------
    InputError
        If the lock is damaged. It is never taken for an empty one, which would accept any file.
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
        good = isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in KEYS.items())
        if not good:
            raise InputError(f"{PATH}: {key} needs sha256, size and date, the sha256 and date in quotes; {RESTORE}")
    return content


def measure(path: Path, sha256: str) -> dict[str, Any]:
    """Return what the lock records of a file that came just now."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"sha256": sha256, "size": path.stat().st_size, "date": today}


def compare(key: str, first: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare a download with the first one.

    Raises
    ------
    InputError
        If it is another file.
    """
    if now["sha256"] != first["sha256"].lower():
        raise InputError(
            f"{key} is not the file that came first, on {first['date']}: sha256 was {first['sha256']} "
            f"({first['size']:,} bytes), is {now['sha256']} ({now['size']:,} bytes); nothing was kept. If its source "
            f"changed and you trust the new file, delete the lines of {key} in {PATH} and run again"
        )


def record(new: dict[str, dict[str, Any]]) -> None:
    """Add first downloads to the lock: sorted, so that two branches that add files seldom conflict."""
    content = yaml.safe_dump({**read(), **new}, sort_keys=True, allow_unicode=True, width=1000)
    with files.replacing(PATH) as temporary:
        temporary.write_text(f"{HEADING}\n{content}", encoding="utf-8")

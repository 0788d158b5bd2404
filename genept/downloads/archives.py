"""The archives that files of an entry are taken out of: each is hashed before it is opened, and must be the first one.

Where the entry has no ``archive_sha256``, the lock (``_lock.py``) has the archive beside its members, under the words
that the entry has for it: ``datasets.bones/archive of geo GSE152805``. Wheels are left to pip, which compares them with
the hash that the package index names.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genept.core import files
from genept.core.errors import InputError
from genept.downloads import lock as _lock
from genept.downloads.source import ADVICE, kind_of

KEY = "archives"  # in a source, as a kind gets it: the `Archives` of its entry
NOTE = ".archives.json"  # among the files that are kept while others of the entry are still to come
NO_PLACE = (*ADVICE, "kind", "member", "archive_sha256")


class Archives:
    """The archives of one entry.

    Parameters
    ----------
    where
        The entry's place in ``params.yaml``.
    first
        What the lock has.
    note
        The file that says which archives came, for the run that records them.
    """

    def __init__(self, where: str, first: Mapping[str, dict[str, Any]], note: Path) -> None:
        self.where, self.first, self.note = where, first, note

    def told(self, get: Callable[[dict[str, Any], Path], None]) -> Callable[[dict[str, Any], Path], None]:
        """Return the function of a kind as one that gets a source with these archives."""
        return lambda source, folder: get({**source, KEY: self}, folder)

    def came(self) -> dict[str, dict[str, Any]]:
        """Return what the lock is to record of the archives that have been unpacked, by its keys."""
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self.note.read_text(encoding="utf-8")))
        return {}

    @contextlib.contextmanager
    def compared(self, key: str, archive: Path) -> Iterator[None]:
        """Hash an archive and compare it with the first one; note it when it has been unpacked in the block.

        Raises
        ------
        InputError
            If it is another one. It is removed, since a download that was altered on the way should come anew.
        """
        now = _lock.measure(archive, files.sha256(archive))
        if key in self.first:
            try:
                _lock.compare(key, self.first[key], now)
            except InputError:
                archive.unlink()
                raise
        yield
        self.note.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self.note, {**self.came(), key: now})


def compared(source: dict[str, Any], target: str, archive: Path) -> contextlib.AbstractContextManager[None]:
    """Compare the archive that a file is taken out of in the block with the one that came first."""
    archives: Archives | None = source.get(KEY)
    if archives is None:  # a kind that is called by itself
        return contextlib.nullcontext()
    return archives.compared(f"{archives.where}/archive of {words(source, target)}", archive)


def words(source: dict[str, Any], target: str) -> str:
    """Return the words that an entry has for the archive of a file: its kind and what else says where it is."""
    said = {**source, **source["files"][target]}
    place = [str(said[key]) for key in sorted(said) if key not in NO_PLACE and isinstance(said[key], str | int)]
    return " ".join([kind_of(source, target), *place])

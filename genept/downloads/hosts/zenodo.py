"""``kind: zenodo``. Files of a Zenodo record: ``record`` (its number, of one version) and, per file, ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The record's md5 of each file is checked in
addition to the sha256. The variable ZENODO_URL replaces ``https://zenodo.org``.
"""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import quote

from genept.core.errors import InputError
from genept.downloads.place import Number, Remote, WebPlace, pick
from genept.downloads.store import Store


class Zenodo(WebPlace):
    """A file of a Zenodo record."""

    kind: Literal["zenodo"]
    record: Number
    name: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        listed = store.listing(("zenodo", self.record), lambda: list_files(str(self.record)))
        return pick(listed, self.name, f"Zenodo record {self.record}")


def list_files(record: str) -> dict[str, Remote]:
    """Return the files of a record by their names."""
    from genept.downloads.web import read_json

    def remote(item: dict[str, Any]) -> Remote:
        algorithm, _, digits = item["checksum"].partition(":")
        return Remote((item["links"]["self"],), ("md5", digits) if algorithm == "md5" else None)

    base = os.environ.get("ZENODO_URL", "https://zenodo.org").rstrip("/")
    answer = read_json(f"{base}/api/records/{quote(record, safe='')}")
    try:
        return {item["key"]: remote(item) for item in answer["files"]}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"Zenodo record {record}: its list of files is not as expected; use `kind: http`") from None

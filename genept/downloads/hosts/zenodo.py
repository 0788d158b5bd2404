"""``kind: zenodo``. Files of a Zenodo record: ``record`` (its number, of one version) and, per file, ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The record's md5 of each file is checked in
addition to the sha256. The variable ZENODO_URL replaces ``https://zenodo.org``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

from genept.downloads.place import Number, WebPlace, pick, read_listing
from genept.downloads.store import Remote, Store


class Zenodo(WebPlace):
    """A file of a Zenodo record."""

    kind: Literal["zenodo"]
    record: Number
    name: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        what = f"Zenodo record {self.record}"
        base = os.environ.get("ZENODO_URL", "https://zenodo.org").rstrip("/")
        url = f"{base}/api/records/{quote(str(self.record), safe='')}"
        return pick(store.listing(url, lambda: read_listing(url, remotes, what)), self.name, what)


def remotes(answer: Any) -> Iterator[tuple[str, Remote]]:
    """Yield the names and addresses of a record's files."""
    for item in answer["files"]:
        algorithm, _, digits = item["checksum"].partition(":")
        yield item["key"], Remote((item["links"]["self"],), ("md5", digits) if algorithm == "md5" else None)

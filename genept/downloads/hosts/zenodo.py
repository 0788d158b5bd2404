"""``kind: zenodo``. Files of a Zenodo record: ``record`` (its number, of one version) and, per file, ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The record's md5 of each file is checked in
addition to the sha256; ``md5`` pins it, for a file or archive whose sha256 nobody has published. The variable
ZENODO_URL replaces ``https://zenodo.org``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import StringConstraints

from genept.core.errors import InputError
from genept.downloads.place import Number, WebPlace, pick, read_listing
from genept.downloads.store import Remote, Store

Md5 = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{32}$", to_lower=True)]


class Zenodo(WebPlace):
    """A file of a Zenodo record."""

    kind: Literal["zenodo"]
    record: Number
    name: str
    md5: Md5 | None = None  # of the file or archive, as Zenodo states it

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive; `InputError` if the record states another md5."""
        what = f"Zenodo record {self.record}"
        base = os.environ.get("ZENODO_URL", "https://zenodo.org").rstrip("/")
        url = f"{base}/api/records/{quote(str(self.record), safe='')}"
        remote = pick(store.listing(url, lambda: read_listing(url, remotes, what)), self.name, what)
        if self.md5 is None:
            return remote
        pinned = ("md5", self.md5)
        if remote.stated not in (None, pinned):
            raise InputError(
                f"{what} states md5 {remote.stated[1]} for {self.name}, but the settings expect {self.md5}; it is "
                "another version or was altered"
            )
        return dataclasses.replace(remote, stated=pinned)


def remotes(answer: Any) -> Iterator[tuple[str, Remote]]:
    """Yield the names and addresses of a record's files."""
    for item in answer["files"]:
        algorithm, _, digits = item["checksum"].partition(":")
        yield item["key"], Remote((item["links"]["self"],), ("md5", digits) if algorithm == "md5" else None)

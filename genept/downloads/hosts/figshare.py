"""``kind: figshare``. Files of an article: ``article`` (its number), ``version`` if not the newest and ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The md5 that figshare computed is checked in
addition to the sha256. The variable FIGSHARE_URL replaces ``https://api.figshare.com/v2``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote

from genept.downloads.place import Number, WebPlace, pick, read_listing
from genept.downloads.store import Remote, Store


class Figshare(WebPlace):
    """A file of a figshare article."""

    kind: Literal["figshare"]
    article: Number
    version: Number | None = None
    name: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        path = f"articles/{quote(str(self.article), safe='')}"
        path += f"/versions/{quote(str(self.version), safe='')}" if self.version else ""
        what = f"figshare article {self.article}"
        return pick(store.listing(("figshare", path), lambda: list_files(path, what)), self.name, what)


def list_files(path: str, what: str) -> dict[str, Remote]:
    """Return the files of an article by their names, at most 1,000; its own description would name ten at most.

    The address that the list names for a file may want to see a browser first, so it comes second.
    """

    def remotes(answer: Any) -> Iterator[tuple[str, Remote]]:
        for item in answer:
            if not item.get("is_link_only"):
                md5, urls = item.get("computed_md5"), (f"{base}/file/download/{item['id']}", item["download_url"])
                yield item["name"], Remote(urls, ("md5", md5) if md5 else None)

    base = os.environ.get("FIGSHARE_URL", "https://api.figshare.com/v2").rstrip("/")
    return read_listing(f"{base}/{path}/files?page_size=1000", remotes, what)

"""``kind: figshare``. Files of an article: ``article`` (its number), ``version`` if not the newest and ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The md5 that figshare computed is checked in
addition to the sha256. The variable FIGSHARE_URL replaces ``https://api.figshare.com/v2``.
"""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import quote

from genept.core.errors import InputError
from genept.downloads.place import Number, Remote, WebPlace, pick
from genept.downloads.store import Store


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
    from genept.downloads.web import read_json

    def remote(item: dict[str, Any]) -> Remote:
        md5 = item.get("computed_md5")
        return Remote((f"{base}/file/download/{item['id']}", item["download_url"]), ("md5", md5) if md5 else None)

    base = os.environ.get("FIGSHARE_URL", "https://api.figshare.com/v2").rstrip("/")
    answer = read_json(f"{base}/{path}/files?page_size=1000")
    try:
        return {item["name"]: remote(item) for item in answer if not item.get("is_link_only")}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{what}: its list of files is not as expected; use `kind: http`") from None

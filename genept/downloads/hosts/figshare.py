"""``kind: figshare``. Files of an article: ``article`` (its number), ``version`` if not the newest and ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The md5 that figshare computed is checked in
addition to the sha256. The variable FIGSHARE_URL replaces ``https://api.figshare.com/v2``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from genept.core.errors import InputError
from genept.downloads.place import Number, WebPlace, pick

if TYPE_CHECKING:
    from genept.downloads.store import Store
    from genept.downloads.web import Remote


class Figshare(WebPlace):
    """A file of a figshare article."""

    kind: Literal["figshare"]
    article: Number
    version: Number | None = None
    name: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        key = ("figshare", self.article, self.version)
        listed = store.listing(key, lambda: list_files(self.article, self.version))
        return pick(listed, self.name, f"figshare article {self.article}")


def list_files(article: Number, version: Number | None) -> dict[str, Remote]:
    """Return the files of an article by their names, at most 1,000; its own description would name ten at most.

    The address that the list names for a file may want to see a browser first, so it comes second.
    """
    from genept.downloads.web import Remote, read_json

    def remote(item: dict[str, Any]) -> Remote:
        md5 = item.get("computed_md5")
        return Remote((f"{base}/file/download/{item['id']}", item["download_url"]), ("md5", md5) if md5 else None)

    base = os.environ.get("FIGSHARE_URL", "https://api.figshare.com/v2").rstrip("/")
    path = f"articles/{quote(str(article), safe='')}" + (f"/versions/{quote(str(version), safe='')}" if version else "")
    answer = read_json(f"{base}/{path}/files?page_size=1000")
    try:
        return {item["name"]: remote(item) for item in answer if not item.get("is_link_only")}
    except (KeyError, TypeError, AttributeError):
        message = "its list of files is not as expected; use `kind: http`"
        raise InputError(f"figshare article {article}: {message}") from None

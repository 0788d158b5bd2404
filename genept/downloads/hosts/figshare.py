"""Files of a figshare article: ``article`` (its number), ``version`` if not the newest and, per file, ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The md5 that figshare computed is checked in
addition to the entry's sha256. The variable FIGSHARE_URL takes the place of ``https://api.figshare.com/v2``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genept.core.errors import InputError
from genept.downloads import required
from genept.downloads.remote import Remote, get_listed
from genept.downloads.web import read_json


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`.

    Raises
    ------
    InputError
        If the article cannot be had, or has no such file.
    """
    (article,) = required(source, "article")
    version = required(source, "version")[0] if "version" in source else None
    get_listed(source, folder, f"figshare article {article}", lambda: listing(article, version))


def listing(article: str, version: str | None) -> dict[str, Remote]:
    """Return the files of an article by their names, at most 1,000.

    The article's own description names ten files at most, so the list of files is asked for.
    """
    base = os.environ.get("FIGSHARE_URL", "https://api.figshare.com/v2").rstrip("/")
    path = f"articles/{quote(article, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")
    answer = read_json(f"{base}/{path}/files?page_size=1000")
    try:
        return {item["name"]: remote(base, item) for item in answer if not item.get("is_link_only")}
    except (KeyError, TypeError, AttributeError):
        message = "its list of files is not as expected; use `kind: http`"
        raise InputError(f"figshare article {article}: {message}") from None


def remote(base: str, item: dict[str, Any]) -> Remote:
    """Say where a file that figshare lists comes from; the other address may want to see a browser first."""
    stated = (("md5", item["computed_md5"]),) if item.get("computed_md5") else ()
    return Remote((f"{base}/file/download/{item['id']}", item["download_url"]), item["name"], stated)

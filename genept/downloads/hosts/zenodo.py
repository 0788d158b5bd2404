"""Files of a Zenodo record: ``record`` (its number, of one version) and, per file, ``name``.

With ``member``, ``name`` is an archive, and the file is that member of it. The record's md5 of each file is checked in
addition to the entry's sha256. The variable ZENODO_URL takes the place of ``https://zenodo.org``.
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
        If the record cannot be had, or has no such file.
    """
    (record,) = required(source, "record")
    get_listed(source, folder, f"Zenodo record {record}", lambda: listing(record))


def listing(record: str) -> dict[str, Remote]:
    """Return the files of a record by their names."""
    base = os.environ.get("ZENODO_URL", "https://zenodo.org").rstrip("/")
    answer = read_json(f"{base}/api/records/{quote(record, safe='')}")
    try:
        return {item["key"]: remote(item) for item in answer["files"]}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"Zenodo record {record}: its list of files is not as expected; use `kind: http`") from None


def remote(item: dict[str, Any]) -> Remote:
    """Say where a file that Zenodo lists comes from."""
    algorithm, _, digits = item["checksum"].partition(":")
    return Remote((item["links"]["self"],), item["key"], (("md5", digits),) if algorithm == "md5" else ())

"""Supplementary files of GEO: ``accession`` (such as GSE155468) and, per file, ``name`` or ``member``.

``name`` is a supplementary file; ``member`` is one of an archive's members, the archive being ``name``, or
``<accession>_RAW.tar`` where no name is given. The variable GEO_URL takes the place of ``https://ftp.ncbi.nlm.nih.gov``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genept.core.errors import ParamsError
from genept.downloads import required
from genept.downloads.remote import Remote, get

FOLDERS = {"GSE": "series", "GSM": "samples"}


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`; an archive is downloaded once for all its members.

    Raises
    ------
    InputError
        If one cannot be had.
    """
    (accession,) = required(source, "accession")
    names = {target: file_of(source, accession, target) for target in source["files"]}
    get(source, folder, {target: Remote((address(accession, name),), name) for target, name in names.items()})


def file_of(source: dict[str, Any], accession: str, target: str) -> str:
    """Return the name of the supplementary file that `target` is, or is a member of."""
    item = source["files"][target]
    if "name" not in item and "member" not in item:
        raise ParamsError(f"params.yaml: {target} of the source of kind 'geo' needs name or member")
    return required(source, "name", target=target)[0] if "name" in item else f"{accession}_RAW.tar"


def address(accession: str, name: str) -> str:
    """Return the address of a supplementary file: GEO keeps a thousand accessions in one folder, GSE155nnn.

    Raises
    ------
    ParamsError
        If the accession is none of a series or a sample.
    """
    match = re.fullmatch(r"(GSE|GSM)(\d+)", accession)
    if not match:
        raise ParamsError(f"params.yaml: {accession!r} is no accession of a GEO series or sample, such as GSE155468")
    base = os.environ.get("GEO_URL", "https://ftp.ncbi.nlm.nih.gov").rstrip("/")
    return f"{base}/geo/{FOLDERS[match[1]]}/{match[1]}{match[2][:-3]}nnn/{accession}/suppl/{quote(name)}"

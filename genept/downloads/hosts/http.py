"""Files on the web: per file ``url`` and, if there are any, ``mirrors`` (a list of further addresses of the same file).

With ``member``, the address is that of an archive (tar, zip or gz), and the file is that member of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genept.core.errors import ParamsError
from genept.downloads import required
from genept.downloads.address import check_address, file_name
from genept.downloads.remote import Remote, get


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`.

    Raises
    ------
    InputError
        If one cannot be had from any of its addresses.
    """
    get(source, folder, {target: remote(source, target) for target in source["files"]})


def remote(source: dict[str, Any], target: str) -> Remote:
    """Say where a file comes from."""
    (url,) = required(source, "url", target=target)
    mirrors = source["files"][target].get("mirrors", [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, str) for mirror in mirrors):
        raise ParamsError(f"params.yaml: the mirrors of {target} must be a list of addresses")
    for address in (url, *mirrors):
        check_address(address)
    return Remote((url, *mirrors), file_name(url) or target)

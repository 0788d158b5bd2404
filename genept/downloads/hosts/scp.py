"""Files of a study of the Single Cell Portal: ``study``, such as SCP1303, and per file its ``name`` in the portal.

The portal gives files only to people who are signed in. Its page makes a code for bulk downloads, good for half an
hour, which is taken from the environment variable ``SCP_TOKEN`` and never printed. With it the portal answers with one
signed address per file of the study, in the form of settings for curl; the named files are downloaded from theirs. The
signature is another one in every run, so a download that broke off is known by the study and the file's name: with a
new code the next run goes on. ``SCP_URL`` replaces the portal's address.

Not run against the portal, for want of an account: the route ``bulk_download/generate_curl_config`` and the form of its
answer are those of the command that the portal shows to users.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from pathlib import Path
from typing import Any

from genept.core.errors import Absent, InputError, ParamsError
from genept.downloads import required
from genept.downloads.address import Signed
from genept.downloads.remote import Remote, get

PORTAL = "https://singlecell.broadinstitute.org/single_cell"
TIMEOUT = (15, 120)  # seconds to connect and to answer: the portal signs every file of the study
SETTING = re.compile(r'^[ \t]*(url|output)[ \t]*=[ \t]*"(.*)"[ \t\r]*$', re.MULTILINE)


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`.

    Raises
    ------
    ParamsError
        If the study is not named as the portal names studies.
    InputError
        If there is no code, or the portal does not accept it or has no such file.
    """
    (study,) = required(source, "study")
    if not re.fullmatch(r"SCP\d+", study):
        raise ParamsError(f"params.yaml: study {study!r} is no accession of the Single Cell Portal, such as SCP1303")
    names = {target: required(source, "name", target=target)[0] for target in source["files"]}
    addresses = parse(settings(study))
    get(source, folder, {target: remote(addresses, study, name) for target, name in names.items()})


def remote(addresses: dict[str, list[str]], study: str, name: str) -> Remote:
    """Say where a file of the study comes from in this run."""
    to_do = f"a new SCP_TOKEN is needed, and the download goes on where it stopped: {way(study)}"
    signed = Signed(f"{study}/{name}", "the code in SCP_TOKEN has expired", to_do)
    return Remote((find(addresses, study, name),), name, signed=signed)


def portal() -> str:
    """Return the portal's address."""
    return os.environ.get("SCP_URL", PORTAL).rstrip("/")


def way(study: str) -> str:
    """Say how to get a code, or the files without one."""
    return (
        f"sign in on {portal()}/study/{study}, open Download, press Bulk download, and set SCP_TOKEN to the letters "
        "and digits after 'auth_code=' in the command that it shows (good for 30 minutes); or download the files there "
        "by hand, with kind: local"
    )


def settings(study: str) -> str:
    """Ask the portal for curl's settings that download all files of a study."""
    import requests

    code = os.environ.get("SCP_TOKEN", "").strip()
    if not code:
        raise InputError(f"{study}: the Single Cell Portal wants a code, and SCP_TOKEN is not set; {way(study)}")
    try:
        response = requests.get(
            f"{portal()}/api/v1/bulk_download/generate_curl_config",
            params={"accessions": study, "auth_code": code, "directory": "all", "context": "study"},
            timeout=TIMEOUT,
        )
    except requests.RequestException:
        raise InputError(f"{study}: no connection to {portal()}; check the network and run again") from None
    if response.status_code in (400, 401, 403):
        raise InputError(
            f"{study}: the Single Cell Portal refused the code in SCP_TOKEN (HTTP {response.status_code}), which is "
            f"good for one use only; {way(study)}"
        )
    if response.status_code == 404:
        none = f"{study}: the Single Cell Portal has no such study"
        raise Absent(f"{none}; correct it in params.yaml", none)
    if not response.ok:
        raise InputError(f"{study}: the Single Cell Portal answered with HTTP {response.status_code}; run again later")
    return response.text


def parse(text: str) -> dict[str, list[str]]:
    """Return the addresses of the files by their names, without folders, from curl's settings.

    A file is two lines, ``url="https://..."`` and ``output="SCP1303/expression/raw.mtx.gz"``; the other lines are
    options for curl.
    """
    addresses: dict[str, list[str]] = {}
    found = SETTING.findall(text)
    for (first, url), (second, output) in itertools.pairwise(found):
        if (first, second) == ("url", "output"):
            addresses.setdefault(output.rpartition("/")[2], []).append(url)
    return addresses


def find(addresses: dict[str, list[str]], study: str, name: str) -> str:
    """Return the address of the one file of that name."""
    urls = addresses.get(name, [])
    if len(urls) == 1:
        return urls[0]
    if urls:
        raise InputError(f"{study}: {len(urls)} files are called {name}; download the right one by hand (kind: local)")
    none = f"{study}: the study has no file {name}"
    if not addresses:
        raise InputError(f"{none}; the portal named no file at all, so its answer may have changed")
    near = difflib.get_close_matches(name, addresses, n=3) or sorted(addresses)[:5]
    raise Absent(f"{none}; it has {', '.join(near)}", none)

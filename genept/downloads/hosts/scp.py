"""``kind: scp``. Files of a study of the Single Cell Portal: ``study``, such as SCP1303, and per file its ``name``.

The portal gives files only to people who are signed in. Its page makes a code for bulk downloads, good for half an
hour, which is read from the environment variable ``SCP_TOKEN`` and never printed. With it the portal answers with one
signed address per file of the study, in the form of settings for curl. The signature is another one in every run, so a
download that broke off is known by the study and the file's name: with a new code the next run goes on. ``SCP_URL``
replaces the portal's address.

Not run against the portal, for want of an account: the route ``bulk_download/generate_curl_config`` and the form of its
answer are those of the command that the portal shows to users.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import Field

from genept.core.errors import InputError
from genept.downloads.place import WebPlace, check_address, pick
from genept.downloads.store import Remote, Store

SETTING = re.compile(r'^[ \t]*(url|output)[ \t]*=[ \t]*"(.*)"[ \t\r]*$', re.MULTILINE)


class SingleCellPortal(WebPlace):
    """A file of a study of the Single Cell Portal."""

    kind: Literal["scp"]
    study: Annotated[str, Field(pattern=r"^SCP\d+$")]
    name: str

    def probe(self, store: Store) -> int | None:
        """See `Place.probe`; the portal is asked for the study's page only, since a code is good once."""
        from genept.downloads.web import read

        if not os.environ.get("SCP_TOKEN", "").strip():
            self.remote(store)  # says how to get a code
        read(f"{portal()}/study/{self.study}")
        return None

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        way = (
            f"sign in on {portal()}/study/{self.study}, open Download, press Bulk download, and set SCP_TOKEN to the "
            "letters and digits after 'auth_code=' in the command that it shows (good for 30 minutes, once); or "
            "download the files there by hand, with kind: local"
        )
        listed = store.listing(("scp", self.study), lambda: list_files(self.study, way))
        urls = pick(listed, self.name, f"{self.study} of the Single Cell Portal")
        if len(urls) > 1:
            line = f"{self.study}: {len(urls)} files are called {self.name}; download the right one by hand"
            raise InputError(f"{line} (kind: local)")
        to_do = f"a new SCP_TOKEN is needed, and the download goes on where it stopped: {way}"
        refused = ("the code in SCP_TOKEN has expired", to_do)
        return Remote(tuple(urls), name=f"{self.study}/{self.name}", refused=refused)


def portal() -> str:
    """Return the portal's address."""
    return os.environ.get("SCP_URL", "https://singlecell.broadinstitute.org/single_cell").rstrip("/")


def list_files(study: str, way: str) -> dict[str, list[str]]:
    """Ask the portal for the addresses of the files of a study; `way` says how to get a code."""
    from genept.downloads.web import read

    code = os.environ.get("SCP_TOKEN", "").strip()
    if not code:
        raise InputError(f"{study}: the Single Cell Portal wants a code, and SCP_TOKEN is not set; {way}")
    query = urlencode({"accessions": study, "auth_code": code, "directory": "all", "context": "study"})
    url = f"{portal()}/api/v1/bulk_download/generate_curl_config?{query}"
    listed = parse(read(url, ("the Single Cell Portal refused the code in SCP_TOKEN", way)).decode(errors="replace"))
    try:
        for address in itertools.chain(*listed.values()):
            check_address(address)
    except ValueError:
        raise InputError(f"{study}: the portal's list of files is not as expected; use `kind: local`") from None
    return listed


def parse(text: str) -> dict[str, list[str]]:
    """Return the addresses of the files by their names, without folders, from curl's settings.

    A file is two lines, ``url="https://..."`` and ``output="SCP1303/expression/raw.mtx.gz"``; the other lines are
    options for curl.
    """
    addresses: dict[str, list[str]] = {}
    for (first, url), (second, output) in itertools.pairwise(SETTING.findall(text)):
        if (first, second) == ("url", "output"):
            addresses.setdefault(output.rpartition("/")[2], []).append(url)
    return addresses

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
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode

from pydantic import Field

from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.place import WebPlace, pick

if TYPE_CHECKING:
    from genept.downloads.store import Store
    from genept.downloads.web import Remote

PORTAL = "https://singlecell.broadinstitute.org/single_cell"
SETTING = re.compile(r'^[ \t]*(url|output)[ \t]*=[ \t]*"(.*)"[ \t\r]*$', re.MULTILINE)


class SingleCellPortal(WebPlace):
    """A file of a study of the Single Cell Portal."""

    kind: Literal["scp"]
    study: Annotated[str, Field(pattern=r"^SCP\d+$")]
    name: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        from genept.downloads.web import Remote, Signed

        listed = store.listing(("scp", self.study), lambda: parse(read_settings(self.study)))
        urls = pick(listed, self.name, f"{self.study} of the Single Cell Portal")
        if len(urls) > 1:
            line = f"{self.study}: {len(urls)} files are called {self.name}; download the right one by hand"
            raise InputError(f"{line} (kind: local)")
        to_do = f"a new SCP_TOKEN is needed, and the download goes on where it stopped: {way(self.study)}"
        signed = Signed(f"{self.study}/{self.name}", "the code in SCP_TOKEN has expired", to_do)
        return Remote(tuple(urls), signed=signed)


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


def read_settings(study: str) -> str:
    """Ask the portal for curl's settings that download all files of a study."""
    from genept.downloads.web import Failure, ask, check_status, read_body

    code = os.environ.get("SCP_TOKEN", "").strip()
    if not code:
        raise InputError(f"{study}: the Single Cell Portal wants a code, and SCP_TOKEN is not set; {way(study)}")
    query = urlencode({"accessions": study, "auth_code": code, "directory": "all", "context": "study"})
    try:
        with ask(f"{portal()}/api/v1/bulk_download/generate_curl_config?{query}") as answer:
            if answer.status_code in (400, 401, 403):
                raise InputError(
                    f"{study}: the Single Cell Portal refused the code in SCP_TOKEN (HTTP {answer.status_code}), which "
                    f"is good for one use only; {way(study)}"
                )
            check_status(answer)
            return read_body(answer).decode(errors="replace")
    except Failure as failure:
        line = f"{study}: the Single Cell Portal, {portal()}: {failure.what}"
        if failure.absent:
            raise NotFoundAtSource(f"{line}; correct the study in the settings", "no such study") from None
        raise InputError(f"{line}; {failure.to_do}") from None


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

"""``kind: gdrive``. Files of Google Drive that anyone with the link may read: ``id``, or ``folder`` and ``name``.

``folder`` and ``id`` are the long words in the addresses that Drive shows (``drive.google.com/drive/folders/<folder>``,
``drive.google.com/file/d/<id>/view``). ``name`` is the path of a file within the folder, such as ``args.json`` or
``part1/raw.h5ad``. The work is gdown's, which knows Drive's pages; it reads no cookies of the user's and keeps none.
Within a run gdown continues a download that broke off. The next run continues it only if the file's sha256 is known:
Drive has no validator by which parts of two files could be told from one file. Run against a server that imitates
Drive's answers only; if a download fails that works in a browser, a newer gdown may help.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from genept.core import files
from genept.core.cli import progress_bar
from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.place import Place, pick
from genept.downloads.store import Store, locked

BASE, FILES = "https://drive.google.com", "https://drive.usercontent.google.com/download"
RETRIES = 5  # gdown waits a random time in between, at most 1, 2, 4, 8 and 16 seconds
PAGE = "text/html"
MAX_PAGE = 4 << 20  # bytes
MAX_PAGES = 100  # a folder may be in itself
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}  # in which Drive's page says a size
ONE_AT_A_TIME = threading.Lock()
GONE = "it is not there: deleted, moved, or another id"
Word = Annotated[str, Field(pattern=r"^[-\w]{10,}$")]


class GoogleDrive(Place):
    """A file of Google Drive."""

    kind: Literal["gdrive"]
    folder: Word | None = None
    id: Word | None = None
    name: str | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        """Check that something names the file."""
        if self.id is None and (self.folder is None or self.name is None):
            raise ValueError("id, or folder and name, is missing")
        return self

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """Download by gdown, from where an earlier run broke off if the sha256 is known."""
        ident = self.id or self.find(store)
        with locked(store.partial, f"gdrive/{ident}", f"Google Drive file {ident}"):
            return self.download(store, ident, sha256)

    def download(self, store: Store, ident: str, sha256: str | None) -> tuple[Path, str]:
        """Do the work of `get`."""
        import gdown

        from genept.downloads.web import TIMEOUT

        path = store.partial / "gdrive" / ident / "file"
        if sha256 is None:
            files.remove(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        bar = progress_bar(self.name or ident, 0, "B")

        def show(n_bytes: int, total: int | None) -> None:
            bar.total = total
            bar.update(n_bytes - bar.n)

        options: dict[str, Any] = {"quiet": True, "use_cookies": False, "resume": True, "timeout": TIMEOUT}
        try:
            with bounded():
                gdown.download(id=ident, output=str(path), progress=show, retries=RETRIES, **options)
        except failures() as error:
            if "did not honor the requested byte range" in str(error):
                files.remove(path.parent)
            raise to_error(f"file {ident} ({self.name or 'by its id'})", error, f"file/d/{ident}/view", ident) from None
        finally:
            bar.close()
        whole = path.replace(store.partial / ident)
        files.remove(path.parent)
        return whole, files.sha256(whole)

    def probe(self, store: Store) -> int | None:
        """See `Place.probe`; where Drive shows a page before the file all the same, its size is what the page says."""
        import gdown

        from genept.downloads.web import Failure, ask, body, length

        ident = self.id or self.find(store)
        what = f"file {ident} ({self.name or 'by its id'})"
        try:
            with ask(f"{FILES}?id={ident}&export=download&confirm=t", {"Range": "bytes=0-0"}) as answer:
                if answer.status_code in (200, 206) and not answer.headers.get("Content-Type", "").startswith(PAGE):
                    return length(answer)
                page = body(answer, MAX_PAGE).decode(errors="replace")
        except Failure as failure:
            raise InputError(f"Google Drive {what}: {failure.what}; {failure.to_do}") from None
        if "download-form" not in page:
            raise to_error(what, gdown.DownloadError(page), f"file/d/{ident}/view", ident)
        size = re.search(r"\(([\d.]+)([KMG])\)", page)
        return int(float(size[1]) * UNITS[size[2]]) if size else None

    def find(self, store: Store) -> str:
        """Return the id of the one file of that name in the folder."""
        what = f"Google Drive folder {self.folder}"
        listed = store.listing(("gdrive", self.folder), lambda: list_folder(str(self.folder)))
        idents = pick(listed, str(self.name), what)
        if len(idents) > 1:
            raise InputError(
                f"{what}: {len(idents)} files are called {self.name}; give the id of one: {', '.join(idents)}"
            )
        return str(idents[0])


def list_folder(folder: str) -> dict[str, list[str]]:
    """Return the ids of a folder's files, and of those of its folders, by their paths; Drive allows equal names."""
    import gdown

    from genept.downloads.web import TIMEOUT

    options: dict[str, Any] = {"skip_download": True, "quiet": True, "use_cookies": False, "timeout": TIMEOUT}
    try:
        with bounded():
            found: Any = gdown.download_folder(id=folder, **options)
    except failures() as error:
        raise to_error(f"folder {folder}", error, f"drive/folders/{folder}") from None
    listing: dict[str, list[str]] = {}
    for file in found:
        listing.setdefault(Path(file.path).as_posix(), []).append(file.id)
    return listing


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Let gdown use our sessions, and bound the pages that it reads whole."""
    import requests

    from genept.downloads.web import Failure, body, encoding_of, session

    numbers = itertools.count(1)

    def bound(answer: requests.Response, **_: Any) -> None:
        if answer.headers.get("Content-Type", "").startswith(PAGE) and not answer.is_redirect:
            answer._content, answer._content_consumed = body(answer, MAX_PAGE), True
            if next(numbers) > MAX_PAGES:
                raise Failure(f"it has more than {MAX_PAGES} folders", "give the file's id")
        elif encoding_of(answer) != "identity":
            raise Failure(f"it answered with an encoding ({encoding_of(answer)})", "run again later")

    def make() -> requests.Session:
        made = session()
        made.hooks["response"].append(bound)
        return made

    with ONE_AT_A_TIME:
        usual, requests.session = requests.session, make
        try:
            yield
        finally:
            requests.session = usual


def failures() -> tuple[type[Exception], ...]:
    """Return what gdown raises, also on pages of nonsense."""
    import gdown
    import requests

    from genept.downloads.web import Failure

    nonsense = (AssertionError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
    return (gdown.DownloadError, requests.RequestException, Failure, *nonsense)


def to_error(what: str, error: Exception, page: str, ident: str | None = None) -> InputError:
    """Return the error for something that Drive did not give; `ident` names a file to ask Drive about."""
    why = explain(error, ident)
    line = f"Google Drive {what}: {why}; or download it in a browser from {BASE}/{page} and use kind: local"
    return NotFoundAtSource(line, why) if why == GONE else InputError(line)


def explain(error: Exception, ident: str | None) -> str:
    """Say in one line why Drive did not give something, from gdown's exception."""
    import gdown
    import requests

    from genept.downloads.web import Failure

    if isinstance(error, Failure):
        return f"{error.what}; {error.to_do}"
    text = " ".join(str(error).split())
    text = re.sub(r"Failed to retrieve file url: (.*?)\.? You may still be able.*", r"\1", text)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"Drive answered with HTTP {error.response.status_code}; run again later"
    broken = any(isinstance(one, requests.RequestException) for one in (error, error.__cause__))
    if broken or "Download is incomplete" in text:
        return "no connection, or it broke off again and again; check the network and run again"
    if "did not honor" in text:
        return "Drive would not continue the part that was here; it was removed, so run again"
    if re.search(r"too many users|quota", text, re.IGNORECASE):
        return "too many people downloaded it lately (Drive's quota); run again in a day"
    if ident is None and (status := re.search(r"\(status code (\d{3})\)", text)):
        later = f"Drive answered with HTTP {status[1]}; run again later, or ask its owner whether it is shared"
        return GONE if status[1] == "404" else later
    is_reason = isinstance(error, gdown.FileURLRetrievalError) and "Cannot retrieve the public link" not in text
    return f"Drive says: {text}" if ident is None or is_reason else ask_why(ident)


def ask_why(ident: str) -> str:
    """Ask Drive itself about a file that gdown finds no way to: gdown does not say whether it is gone or not shared."""
    from genept.downloads.web import Failure, ask

    try:
        with ask(f"{BASE}/uc?id={ident}") as response:
            status, url = response.status_code, response.url
    except Failure as failure:
        return f"{failure.what}; {failure.to_do}"
    if status in (404, 410):
        return GONE
    if status in (401, 403) or url.startswith("https://accounts.google.com"):
        return "it is not shared with everyone who has the link; ask its owner"
    return f"Drive answered with a page and no file (HTTP {status}), perhaps after too many downloads; run again later"

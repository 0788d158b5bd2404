"""Files of Google Drive that anyone with the link may read: per file its ``id``, or its ``name`` in a ``folder``.

``folder`` and ``id`` are the long words in the addresses that Drive shows (``drive.google.com/drive/folders/<folder>``,
``drive.google.com/file/d/<id>/view``). ``name`` is the path of a file within the folder, such as ``args.json`` or
``part1/raw.h5ad``. The work is gdown's, which knows Drive's pages; it reads no cookies of the user's and keeps none.

A download that broke off is continued, in whole pieces of 512 KiB. Within a run gdown tells whether it is still the
same file. Between two runs that is told here: beside the part is kept what Drive said of the file before it came, when
it was changed and its size. If Drive says something else in the next run, the download starts again; so it does if
Drive does not say when the file was changed, unless its entry has a sha256.

What has been run is gdown against a server that imitates Drive's answers. Drive itself changes its pages from time to
time: if a download fails that works in a browser, a newer gdown may help.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import shutil
import urllib.parse
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genept.core import files
from genept.core.cli import progress_bar
from genept.core.errors import Absent, InputError, ParamsError
from genept.downloads import PARTIAL, required
from genept.downloads.retry import GO_ON, Failure, persist

if TYPE_CHECKING:
    import requests

BASE = "https://drive.google.com"
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
RETRIES = 5  # gdown waits a random time in between, at most 1, 2, 4, 8 and 16 seconds
PAGE_REASON = re.compile(r"Failed to retrieve file url: (.*?) You may still be able")
NO_LINK = "Cannot retrieve the public link"
NO_FOLDER = "(status code 404)"
GONE = "it is not there: deleted, moved, or another id"
FOLDER_STATUS = re.compile(r"folder contents .*\(status code (\d{3})\)")
NOTE = "drive.json"  # beside the part
EMPTY = 416  # there is no first byte
HEADERS = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}  # only what Drive says of a file is wanted
MAX_PAGES = 3  # before a file; there is one, the warning that a large file was not searched for viruses
NOT_CONTINUED = "did not honor the requested byte range"


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`.

    Unfinished files stay in the folder of partial downloads, and so do finished ones until all are there.

    Raises
    ------
    ParamsError
        If a file has neither an id, nor a name in a folder.
    InputError
        If gdown is not installed, or Drive does not give a file.
    """
    ids = {target: str(item["id"]) for target, item in source["files"].items() if item.get("id")}
    names = {target: required(source, "name", target=target)[0] for target in source["files"] if target not in ids}
    folders = required(source, "folder") if names else []
    for ident in (*ids.values(), *folders):
        if not re.fullmatch(r"[-\w]{10,}", ident):
            raise ParamsError(
                f"params.yaml: {ident!r} is no id of Google Drive: it is one word of an address, without '/'"
            )
    gdown = load_gdown()
    listing = list_folder(gdown, folders[0]) if names else {}
    ids |= {target: find(listing, folders[0], name) for target, name in names.items()}
    known = {target for target, item in source["files"].items() if item.get("sha256")}
    got = {target: download(gdown, ident, target, target in known) for target, ident in ids.items()}
    for target, path in got.items():
        shutil.move(path, folder / target)
        shutil.rmtree(path.parent)


def load_gdown() -> ModuleType:
    """Import gdown, which no other kind needs."""
    try:
        import gdown
    except ImportError as error:
        raise InputError(
            f"files of Google Drive need gdown, which cannot be imported ({error}); `make setup` installs it"
        ) from None
    return gdown


def list_folder(gdown: ModuleType, folder: str) -> dict[str, list[str]]:
    """Return the ids of a folder's files, and of those of its folders, by their paths; Drive allows equal names."""
    import requests

    try:
        found = gdown.download_folder(id=folder, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT)
    except (gdown.DownloadError, requests.RequestException) as error:
        page = f"{BASE}/drive/folders/{folder}"
        raise refused(f"Google Drive folder {folder}", explain(error), page) from None
    listing: dict[str, list[str]] = {}
    for file in found:
        listing.setdefault(Path(file.path).as_posix(), []).append(file.id)
    return listing


def find(listing: dict[str, list[str]], folder: str, name: str) -> str:
    """Return the id of the one file of that name."""
    ids = listing.get(name, [])
    if len(ids) == 1:
        return ids[0]
    if ids:
        same = ", ".join(ids)
        raise InputError(
            f"Google Drive folder {folder}: {len(ids)} files are called {name}; give the id of one: {same}"
        )
    near = difflib.get_close_matches(name, listing, n=3) or sorted(listing)[:5]
    hint = f"it has {', '.join(near)}" if near else "it is empty, or not shared with everyone who has the link"
    page = f"{BASE}/drive/folders/{folder}"
    none = f"Google Drive folder {folder}: no {name}"
    line = f"{none}; {hint}; correct the name in params.yaml, or give the id; {by_hand(page)}"
    raise Absent(line, none) if near else InputError(line)


def download(gdown: ModuleType, ident: str, target: str, known: bool) -> Path:
    """Download one file into a folder of its own under the partial downloads, from where an earlier run broke off.

    `known` says whether its entry has a sha256, which would show that parts of two files were joined.
    """
    import requests

    path = PARTIAL / "gdrive" / ident / "file"
    if path.is_file():
        return path
    bar = progress_bar(Path(target).name, 0, "B")

    def show(n_bytes: int, total: int | None) -> None:
        bar.total = total
        bar.update(n_bytes - bar.n)

    try:
        prepare(path.parent, look_at(gdown, ident), known)
        gdown.download(
            id=ident,
            output=str(path),
            quiet=True,
            use_cookies=False,
            resume=True,
            progress=show,
            timeout=TIMEOUT,
            retries=RETRIES,
        )
    except (gdown.DownloadError, requests.RequestException) as error:
        if NOT_CONTINUED in str(error):
            shutil.rmtree(path.parent)
        page = f"{BASE}/file/d/{ident}/view"
        raise refused(f"Google Drive file {ident} ({target})", explain(error, ident), page) from None
    finally:
        bar.close()
    return path


def prepare(folder: Path, now: dict[str, str | None], known: bool) -> None:
    """Remove a part that may be another file's than the one that comes `now`, and note which one comes."""
    before = None
    with contextlib.suppress(OSError, ValueError):
        before = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    if before != now or not (now["modified"] or known):
        files.remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / NOTE, now)


def look_at(gdown: ModuleType, ident: str) -> dict[str, str | None]:
    """Return what Drive says of a file, ``modified`` and ``size``, without downloading it.

    Raises
    ------
    gdown.DownloadError, requests.RequestException
        If Drive gives a page in place of the file, or does not answer.
    """
    import requests

    def once() -> dict[str, str | None]:
        try:
            with requests.Session() as session:
                return ask(gdown, session, ident)
        except (requests.ConnectionError, requests.Timeout):
            raise Failure("no connection to Google Drive", GO_ON, again=True) from None

    try:
        return persist(once)
    except Failure as failure:
        raise requests.ConnectionError(failure.what) from None


def ask(gdown: ModuleType, session: requests.Session, ident: str) -> dict[str, str | None]:
    """Ask for the first byte of a file, through the pages that gdown goes through, and return what comes with it."""
    from gdown.download import get_url_from_gdrive_confirmation

    url = f"{BASE}/uc?id={ident}"
    for _ in range(MAX_PAGES):
        with session.get(url, headers=HEADERS, stream=True, timeout=TIMEOUT) as answer:
            if "Content-Disposition" in answer.headers or answer.status_code == EMPTY:
                if answer.status_code != EMPTY:
                    answer.raise_for_status()
                whole = re.fullmatch(r"bytes .*/(\d+)", answer.headers.get("Content-Range", ""))
                size = whole[1] if whole else answer.headers.get("Content-Length")
                return {"modified": answer.headers.get("Last-Modified"), "size": size}
            page = answer.text
        url = get_url_from_gdrive_confirmation(page)
    raise gdown.FileURLRetrievalError(NO_LINK)


def explain(error: Exception, ident: str | None = None) -> str:
    """Say in one line why Drive did not give something, from gdown's exception; `ident` names a file to ask about."""
    import requests

    text = " ".join(str(error).split())
    reason = PAGE_REASON.search(text)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"Drive answered with HTTP {error.response.status_code}; run again later"
    broken = isinstance(error, requests.RequestException) or isinstance(error.__cause__, requests.RequestException)
    if broken or "Download is incomplete" in text:
        return "no connection, or it broke off again and again; check the network and run again, it continues"
    if NOT_CONTINUED in text:
        return "Drive would not continue the part that was here; it was removed, so run again"
    if re.search(r"too many users|quota", text, re.IGNORECASE):
        return "too many people downloaded it lately (Drive's quota); run again in a day"
    if ident is None and NO_FOLDER in text:
        return GONE
    if ident is None and (status := FOLDER_STATUS.search(text)):
        return f"Drive answered with HTTP {status[1]}; run again later, or ask its owner whether it is shared"
    said = reason[1] if reason else text
    of_page = reason or isinstance(error, load_gdown().FileURLRetrievalError)
    if (of_page and not said.startswith(NO_LINK)) or ident is None:
        return f"Drive says: {said}".rstrip(".")
    return refusal(ident)


def refusal(ident: str) -> str:
    """Ask Drive itself about a file that gdown finds no way to: gdown does not say whether it is gone or not shared."""
    import requests

    try:
        with requests.get(f"{BASE}/uc", params={"id": ident}, stream=True, timeout=TIMEOUT) as response:
            status, host = response.status_code, urllib.parse.urlsplit(response.url).hostname
    except requests.RequestException:
        return "no connection; check the network and run again"
    if status in (404, 410):
        return GONE
    if status in (401, 403) or host == "accounts.google.com":
        return "it is not shared with everyone who has the link; ask its owner"
    return f"Drive answered with a page and no file (HTTP {status}), perhaps after too many downloads; run again later"


def refused(what: str, why: str, page: str) -> InputError:
    """Return the error for something that Drive did not give."""
    line = f"{what}: {why}; {by_hand(page)}"
    return Absent(line, why) if why == GONE else InputError(line)


def by_hand(page: str) -> str:
    """Say what works when gdown does not."""
    return f"or download it in a browser from {page} and name it in params.yaml with kind: local and its path"

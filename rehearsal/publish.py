"""Putting files where settings say that they are: each host serves them in its own way, and has its own troubles."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from genept.downloads.place import Place
from rehearsal import services, troubles
from rehearsal.formats import pack
from rehearsal.services import World
from rehearsal.troubles import Troubles
from tests.downloads.loopback import Answer, Request, ranged

LARGE = (".bin", ".pt", ".safetensors", ".pkl", ".h5ad")  # what the Hugging Face hub has on another host
NO_STORE: Any = None  # the addresses of GEO and of the web depend on no earlier download


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Publisher:
    """Serves files of settings; the first of each kind of host meets the troubles that the host is known for."""

    def __init__(self, world: World, trouble: Troubles) -> None:
        self.world, self.trouble = world, trouble
        self.hashes: dict[str, str] = {}  # sha256 or md5 of a miniature by that of the real file, if settings name it
        self.kinds: set[str] = set()  # that have had their troubles
        self.numbers = itertools.count(40_000_001)  # of files at figshare

    def publish(self, places: Mapping[str, Place], contents: Mapping[str, bytes]) -> None:
        """Serve files at their places, members of one archive in one archive."""
        groups: dict[Place, list[str]] = {}
        for name, place in places.items():
            groups.setdefault(place.archive or place, []).append(name)
            self.note(place, contents[name])
        for remote, names in groups.items():
            content = contents[names[0]]
            if places[names[0]].archive:
                content = pack(remote.title, {places[name].model_dump()["member"]: contents[name] for name in names})
                self.note(remote, content)
            if pinned := getattr(remote, "md5", None):
                self.hashes[pinned] = md5(content)
            SERVE[remote.kind](self, remote, content)

    def note(self, place: Place, content: bytes) -> None:
        """Note the sha256 of what takes a file's place."""
        if place.sha256:
            self.hashes[place.sha256] = digest(content)

    def first(self, kind: str, place: tuple[str, str], *changes: troubles.Change) -> None:
        """Add troubles to a host and path if none of that kind has any yet."""
        if kind not in self.kinds:
            self.trouble.add(place, *changes)
        self.kinds.add(kind)

    def http(self, place: Any, content: bytes) -> None:
        """Serve a file on the web; it is asked for too often, then the connection breaks off."""
        for url in place.remote(NO_STORE).urls:
            file = url
            if urlsplit(url).hostname in (services.FIGSHARE, services.NDOWNLOADER):  # which send on to Amazon
                file = f"https://{services.FIGSHARE_FILES}/pfigshare-u-files/{Path(url).name}/file"
                self.world.redirect(url, file)
            self.first("http", self.world.file(file, content), troubles.busy, troubles.broken)

    def geo(self, place: Any, content: bytes) -> None:
        """Serve a supplementary file; the connection breaks off, and then the server is closed for an hour."""
        (url,) = place.remote(NO_STORE).urls
        self.first("geo", self.world.file(url, content), troubles.broken, troubles.closed)

    def zenodo(self, place: Any, content: bytes) -> None:
        """Serve a file of a record; the record is down, and then another file comes than the record says."""
        record = f"https://{services.ZENODO}/api/records/{place.record}"
        link = f"{record}/files/{quote(place.name)}/content"
        item = {"key": place.name, "checksum": f"md5:{md5(content)}", "size": len(content), "links": {"self": link}}
        page = self.world.list_file(record, item, lambda items: {"id": int(place.record), "files": items})
        self.first("zenodo", page, troubles.unavailable)
        self.first("zenodo's file", self.world.file(link, content), troubles.altered)

    def figshare(self, place: Any, content: bytes) -> None:
        """Serve a file of an article, which lies elsewhere; the list is down, and the connection breaks off."""
        base, number = f"https://{services.FIGSHARE}/v2", next(self.numbers)
        file = f"https://{services.FIGSHARE_FILES}/pfigshare-u-files/{number}/{quote(place.name)}"
        download = f"https://{services.NDOWNLOADER}/files/{number}"
        for url in (f"{base}/file/download/{number}", download):
            self.world.redirect(url, file)
        item = {"id": number, "name": place.name, "size": len(content), "is_link_only": False}
        item |= {"download_url": download, "supplied_md5": md5(content), "computed_md5": md5(content)}
        version = f"/versions/{place.version}" if place.version else ""
        page = self.world.list_file(f"{base}/articles/{place.article}{version}/files", item, list)
        self.first("figshare", page, troubles.unavailable)
        self.first("figshare's file", self.world.file(file, content), troubles.broken)

    def gdrive(self, place: Any, content: bytes) -> None:
        """Serve a file of Google Drive; the page is down, the quota used up, and the connection breaks off."""
        ident = place.id or "1" + digest(f"{place.folder}/{place.name}".encode())[:32]
        if not place.id:
            self.world.folders.setdefault(place.folder, {})[place.name] = ident
        self.world.drive[ident] = (place.name or ident, content)
        page = "/uc" if place.id else "/embeddedfolderview"
        self.first("gdrive", (services.DRIVE, page), troubles.unavailable)
        self.first("gdrive's file", (services.DRIVE_FILES, "/download"), troubles.quota, troubles.broken_late)

    def huggingface(self, place: Any, content: bytes) -> None:
        """Serve a file of a commit; a large one lies on another host, and the connection breaks off."""
        kind = "datasets/" if place.repo_type == "dataset" else ""
        url = f"https://{services.HUB}/{kind}{place.repo}/resolve/{place.revision}/{quote(place.path)}"
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()  # as git has it
        headers = {"X-Repo-Commit": place.revision, "ETag": f'"{blob}"'}
        if not place.path.endswith(LARGE):
            self.world.file(url, content, **headers)
            return
        sha256 = digest(content)
        file = f"https://{services.HUB_FILES}/{sha256}"
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        self.world.redirect(url, file, **headers, **linked)
        self.first("huggingface", self.world.file(file, content), troubles.broken)

    def scp(self, place: Any, content: bytes) -> None:
        """Serve the file of a study to who has the code; it is busy, breaks off, and is closed for an hour.

        The address is signed anew whenever the portal is asked, and only the newest signature is good.
        """
        signatures = ["none"]
        url = f"https://{services.BUCKET}/fc-{place.study.lower()}/{quote(place.name)}"

        def signed(request: Request) -> Answer:
            is_good = request.query.get("X-Goog-Signature") == signatures[-1]
            expired = Answer(400, b"<Error><Code>ExpiredToken</Code></Error>")
            return ranged(request, content, {"ETag": f'"{md5(content)}"', **services.FILE}) if is_good else expired

        def config(request: Request) -> Answer:
            if request.query.get("auth_code") != services.CODE:
                return Answer(401, b"{}")
            signatures.append(f"{len(signatures)}=")
            lines = ["--create-dirs", "--compressed", f'url="{url}?X-Goog-Signature={quote(signatures[-1])}"']
            return Answer(200, "\n".join([*lines, f'output="{place.study}/{place.name}"']).encode())

        self.world.route(f"https://{services.PORTAL}/single_cell/api/v1/bulk_download/generate_curl_config", config)
        self.first("scp", self.world.route(url, signed), troubles.busy, troubles.broken, troubles.closed)


SERVE: dict[str, Callable[[Publisher, Any, bytes], None]] = {
    "figshare": Publisher.figshare,
    "gdrive": Publisher.gdrive,
    "geo": Publisher.geo,
    "http": Publisher.http,
    "huggingface": Publisher.huggingface,
    "scp": Publisher.scp,
    "zenodo": Publisher.zenodo,
}
NOT_SERVED = ("local", "wheel")  # files of this machine, and of the package index, which is asked before the run

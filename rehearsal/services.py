"""The hosts: what each answers, in the form in which the real one does."""

from __future__ import annotations

import hashlib
import html
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.downloads.loopback import Answer, Request, ranged

Route = Callable[[Request], Answer]
PAGE = {"Content-Type": "text/html; charset=utf-8"}
SMALL = 4096  # bytes; Drive asks about viruses before larger files (the real limit is higher)
HUB, HUB_FILES = "huggingface.co", "cas-bridge.xethub.hf.co"
DRIVE, DRIVE_FILES = "drive.google.com", "drive.usercontent.google.com"
FIGSHARE, FIGSHARE_FILES = "api.figshare.com", "s3-eu-west-1.amazonaws.com"
NDOWNLOADER = "ndownloader.figshare.com"
ZENODO = "zenodo.org"
PORTAL, BUCKET = "singlecell.broadinstitute.org", "storage.googleapis.com"
OPENAI = "api.openai.com"
CODE = "rehearsal1"  # of the Single Cell Portal's bulk download


class World:
    """Everything that is served, by host and path."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Route] = {}
        self.drive: dict[str, tuple[str, bytes]] = {}  # name and content of a file by its id
        self.folders: dict[str, dict[str, str]] = {}  # a Drive folder's files: id by name
        self.embeddings: Callable[[Request, bytes], Answer] = lambda request, body: Answer(404)
        self.routes[DRIVE, "/uc"] = self.drive_link
        self.routes[DRIVE, "/embeddedfolderview"] = self.drive_folder
        self.routes[DRIVE_FILES, "/download"] = self.drive_file

    def hosts(self) -> frozenset[str]:
        return frozenset({host for host, _ in self.routes} | {OPENAI, HUB, ZENODO, FIGSHARE, PORTAL})

    def answer(self, request: Request, body: bytes) -> Answer:
        """Answer any request."""
        host = request.headers["host"]
        if host == OPENAI:
            return self.embeddings(request, body)
        route = self.routes.get((host, request.path))
        if route is None:
            return Answer(404, b"<html><title>404</title></html>", {**PAGE, "X-Error-Code": "EntryNotFound"})
        return route(request)

    def file(self, url: str, content: bytes, **headers: str) -> tuple[str, str]:
        """Serve a file at an address, with ranges and an ETag; return its host and path."""
        about = {
            "ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            **headers,
        }
        return self.route(url, lambda request: ranged(request, content, about))

    def redirect(self, url: str, to: str) -> None:
        """Send whoever asks for an address to another."""
        self.route(url, lambda request: Answer(302, b"", {"Location": to}))

    def say(self, url: str, content: Any) -> tuple[str, str]:
        """Serve JSON."""
        body = json.dumps(content).encode()
        return self.route(url, lambda request: Answer(200, body, {"Content-Type": "application/json"}))

    def route(self, url: str, route: Route) -> tuple[str, str]:
        parts = urllib.parse.urlsplit(url)
        place = parts.hostname or "", urllib.parse.unquote(parts.path)
        self.routes[place] = route
        return place

    def drive_link(self, request: Request) -> Answer:
        """Send the link of a file to where the file is."""
        ident = request.query.get("id", "")
        if ident not in self.drive:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", PAGE)
        place = f"https://{DRIVE_FILES}/download?id={ident}&export=download"
        return Answer(303, b"", {**PAGE, "Location": place})

    def drive_file(self, request: Request) -> Answer:
        """Give a file, a large one only to who says yes to a warning of viruses."""
        name, content = self.drive.get(request.query.get("id", ""), ("", b""))
        if not name:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", PAGE)
        if len(content) > SMALL and request.query.get("confirm") != "t":
            fields = {"id": request.query["id"], "export": "download", "confirm": "t", "uuid": "0"}
            inputs = "".join(f'<input type="hidden" name="{key}" value="{value}">' for key, value in fields.items())
            action = f"https://{DRIVE_FILES}/download"
            form = f'<html><form id="download-form" action="{action}" method="get">{inputs}</form></html>'
            return Answer(200, form.encode(), PAGE)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Last-Modified": "Wed, 01 Mar 2023 10:00:00 GMT",
        }
        return ranged(request, content, headers)

    def drive_folder(self, request: Request) -> Answer:
        """Give the page of a folder."""
        listing = self.folders.get(request.query.get("id", ""))
        if listing is None:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", PAGE)
        links = "".join(
            f'<a href="https://{DRIVE}/file/d/{ident}/view?usp=drive_web"><div>{html.escape(name)}</div></a>'
            for name, ident in listing.items()
        )
        return Answer(200, f"<html><head><title>shared</title></head><body>{links}</body></html>".encode(), PAGE)

"""The hosts: what each answers, in the form in which the real one does."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.downloads.loopback import Answer, Request, ranged
from tests.engines.encoder.service import n_tokens, vector

Route = Callable[[Request], Answer]
HTML, JSON = {"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "application/json"}
FILE = {"Content-Type": "application/octet-stream"}
MODIFIED = "Wed, 01 Mar 2023 10:00:00 GMT"
SMALL = 4096  # bytes; Drive asks about viruses before larger files (the real limit is higher)
HUB, HUB_FILES = "huggingface.co", "cas-bridge.xethub.hf.co"
DRIVE, DRIVE_FILES = "drive.google.com", "drive.usercontent.google.com"
FIGSHARE, FIGSHARE_FILES = "api.figshare.com", "s3-eu-west-1.amazonaws.com"
NDOWNLOADER = "ndownloader.figshare.com"
ZENODO = "zenodo.org"
PORTAL, BUCKET = "singlecell.broadinstitute.org", "storage.googleapis.com"
OPENAI = "api.openai.com"
CODE = "rehearsal1"  # of the Single Cell Portal's bulk download
DIMENSIONS = {"text-embedding-ada-002": 1536, "text-embedding-3-large": 3072}


class World:
    """Everything that is served, by host and path; `key` is the key of the embeddings API."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.drive: dict[str, tuple[str, bytes]] = {}  # name and content of a file by its id
        self.folders: dict[str, dict[str, str]] = {}  # a Drive folder's files: id by name
        self.lists: dict[str, list[Any]] = {}  # the files that a service lists, by the address of the list
        self.routes: dict[tuple[str, str], Route] = {
            (DRIVE, "/uc"): self.drive_link,
            (DRIVE, "/embeddedfolderview"): self.drive_folder,
            (DRIVE_FILES, "/download"): self.drive_file,
            (OPENAI, "/v1/embeddings"): self.embeddings,
        }

    def hosts(self) -> frozenset[str]:
        """Return the hosts that are played."""
        return frozenset(host for host, _ in self.routes)

    def answer(self, request: Request) -> Answer:
        """Answer any request."""
        route = self.routes.get((request.headers["host"], request.path))
        not_found = Answer(404, b"<html><title>404</title></html>", {**HTML, "X-Error-Code": "EntryNotFound"})
        return route(request) if route else not_found

    def route(self, url: str, route: Route) -> tuple[str, str]:
        """Let a function answer the requests to an address; return its host and path."""
        parts = urllib.parse.urlsplit(url)
        place = parts.hostname or "", urllib.parse.unquote(parts.path)
        self.routes[place] = route
        return place

    def file(self, url: str, content: bytes, **headers: str) -> tuple[str, str]:
        """Serve a file, with ranges and an ETag; return its host and path."""
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        about = {"ETag": etag, "Accept-Ranges": "bytes", **FILE, **headers}
        return self.route(url, lambda request: ranged(request, content, about))

    def redirect(self, url: str, to: str, **headers: str) -> None:
        """Send whoever asks for an address to another."""
        self.route(url, lambda request: Answer(302, b"", {**headers, "Location": to}))

    def list_file(self, url: str, item: Any, wrap: Callable[[list[Any]], Any]) -> tuple[str, str]:
        """Add a file to the list that a service gives at an address, in JSON; return the host and path of the list."""
        items = self.lists.setdefault(url, [])
        items.append(item)
        return self.route(url, lambda request: Answer(200, json.dumps(wrap(items)).encode(), JSON))

    def drive_link(self, request: Request) -> Answer:
        """Send the link of a file to where the file is."""
        ident = request.query.get("id", "")
        if ident not in self.drive:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", HTML)
        return Answer(303, b"", {**HTML, "Location": f"https://{DRIVE_FILES}/download?id={ident}&export=download"})

    def drive_file(self, request: Request) -> Answer:
        """Give a file, a large one only to who says yes to a warning of viruses."""
        name, content = self.drive.get(request.query.get("id", ""), ("", b""))
        if not name:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", HTML)
        if len(content) > SMALL and request.query.get("confirm") != "t":
            fields = {"id": request.query["id"], "export": "download", "confirm": "t", "uuid": "0"}
            inputs = "".join(f'<input type="hidden" name="{key}" value="{value}">' for key, value in fields.items())
            action = f"https://{DRIVE_FILES}/download"
            form = f'<html><form id="download-form" action="{action}" method="get">{inputs}</form></html>'
            return Answer(200, form.encode(), HTML)
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Last-Modified": MODIFIED}
        return ranged(request, content, {**FILE, **headers})

    def drive_folder(self, request: Request) -> Answer:
        """Give the page of a folder."""
        listing = self.folders.get(request.query.get("id", ""))
        if listing is None:
            return Answer(404, b"<html><title>Error 404 (Not Found)!!1</title></html>", HTML)
        links = "".join(
            f'<a href="https://{DRIVE}/file/d/{ident}/view?usp=drive_web"><div>{html.escape(name)}</div></a>'
            for name, ident in listing.items()
        )
        return Answer(200, f"<html><head><title>shared</title></head><body>{links}</body></html>".encode(), HTML)

    def embeddings(self, request: Request) -> Answer:
        """Give a random vector that depends on the text only, by OpenAI's protocol, to who has the key."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            error = {"message": "Incorrect API key provided", "type": "invalid_request_error", "param": None}
            return Answer(401, json.dumps({"error": {**error, "code": None}}).encode(), JSON)
        asked = json.loads(request.body)
        width = asked.get("dimensions") or DIMENSIONS[asked["model"]]
        rows = []
        for index, text in enumerate(asked["input"]):
            values = vector(text, width)
            in_base64 = base64.b64encode(values.astype("<f4").tobytes()).decode()
            coded = in_base64 if asked.get("encoding_format") == "base64" else values.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": coded})
        n = sum(map(n_tokens, asked["input"]))
        usage = {"prompt_tokens": n, "total_tokens": n}
        answer = {"object": "list", "model": asked["model"], "data": rows, "usage": usage}
        return Answer(200, json.dumps(answer).encode(), JSON)

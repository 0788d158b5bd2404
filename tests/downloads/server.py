"""A web server on this machine that serves files well, or badly in the ways that are known from the web."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

PIECE = 1 << 14


@dataclass
class Resource:
    """What a path gives, and how."""

    content: bytes = b""
    etag: str | None = '"first"'
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True  # whether a changed file is given whole, as it should be
    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None  # a Content-Length that is not true
    framing: str = "length"  # or "chunked", or "close"
    reset_after: list[int] = field(default_factory=list)  # bytes after which the connection breaks, one per request
    stall_after: int | None = None  # bytes after which nothing more comes
    pause: float = 0.0  # seconds between pieces
    then: Resource | None = None  # takes this one's place after the first request


class Server(ThreadingHTTPServer):
    """Serves `resources` by path and notes what was asked for and how many bytes of bodies it gave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.resources: dict[str, Resource] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.served = 0
        self.go_on, self.stalling = threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, content: bytes = b"", **how: Any) -> str:
        """Serve something and return its address."""
        self.resources[path] = Resource(content, **how)
        return self.url + path

    def stop(self) -> None:
        self.go_on.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        pass  # clients hang up in many tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append((self.path, dict(self.headers.items())))
        path = unquote(self.path)
        resource = self.server.resources.get(path) or self.server.resources.get(path.partition("?")[0])
        if resource is None:
            resource = Resource(status=404)
        elif resource.then:
            self.server.resources[path.partition("?")[0]] = resource.then
        status = resource.statuses.pop(0) if resource.statuses else resource.status
        if status in (200, 206):
            self.give(resource)
        else:
            self.answer(status, resource, {"Content-Length": "0"})

    def give(self, resource: Resource) -> None:
        content, start = resource.content, self.start(resource)
        about = {} if resource.etag is None else {"ETag": resource.etag}
        about |= {} if resource.modified is None else {"Last-Modified": resource.modified}
        if start >= len(content) and start:
            self.answer(416, resource, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        if start:
            about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if resource.framing == "length":
            about["Content-Length"] = str(resource.announced or len(content) - start)
        elif resource.framing == "chunked":
            about["Transfer-Encoding"] = "chunked"
        self.answer(206 if start else 200, resource, about)
        self.body(resource, content[start:])

    def start(self, resource: Resource) -> int:
        """From which byte on the client wants the file and gets it."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        same = condition in (None, resource.etag, resource.modified)
        return int(match[1]) if match and resource.ranges and (same or not resource.if_range) else 0

    def body(self, resource: Resource, content: bytes) -> None:
        reset = resource.reset_after.pop(0) if resource.reset_after else None
        limits = [limit for limit in (reset, resource.stall_after) if limit is not None]
        given = content[: min(limits)] if limits else content
        for first in range(0, len(given), PIECE):
            piece = given[first : first + PIECE]
            self.send(b"%x\r\n%s\r\n" % (len(piece), piece) if resource.framing == "chunked" else piece)
            time.sleep(resource.pause)
        if reset is not None:
            time.sleep(0.15)  # what was sent should arrive before the reset, on a busy machine, too
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif resource.stall_after is not None:
            self.server.stalling.set()
            self.server.go_on.wait(30)
        elif resource.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def answer(self, status: int, resource: Resource, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/octet-stream"} | headers | resource.headers).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def send(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()
        self.server.served += len(content)

    def log_message(self, *_: Any) -> None:
        pass

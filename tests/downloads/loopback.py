"""A web server on this machine: its answers are a function of the request, or the files of a `Web`.

No test on it can race: a request and the bytes of its answer are counted before they are sent, a connection breaks off
by ending before the ``Content-Length`` that was announced, and a stalled one waits for an event.
"""

from __future__ import annotations

import contextlib
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes = b""


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes of the body that are sent before the connection ends
    hold: threading.Event | None = None  # which the connection's end waits for
    framing: str = "length"  # or "chunked", or "close": without a length, up to the connection's end


class Server(ThreadingHTTPServer):
    """A server that keeps the requests, and the number of bytes of bodies that it sent."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.requests, self.n_bytes = answer, list[Request](), 0
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        pass  # clients hang up in many tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        parts = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(urllib.parse.parse_qsl(parts.query))
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, urllib.parse.unquote(parts.path), query, headers, body)
        self.server.requests.append(request)
        answer = self.server.answer(request)
        sent = answer.body if answer.cut is None else answer.body[: answer.cut]
        if self.command != "HEAD":
            self.server.n_bytes += len(sent)
        self.send_response(answer.status)
        framing = {"chunked": {"Transfer-Encoding": "chunked"}, "length": {"Content-Length": str(len(answer.body))}}
        for name, value in {**framing.get(answer.framing, {}), **answer.headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):  # a client need not read to the end
                if answer.framing == "chunked":
                    end = b"0\r\n\r\n" if answer.cut is None else b""
                    sent = b"%x\r\n%s\r\n%s" % (len(sent), sent, end)
                self.wfile.write(sent)
                self.wfile.flush()
            if answer.hold:
                answer.hold.wait(60)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


class Service:
    """A service with its usual answers, in place of which a test may set `special` ones."""

    def __init__(self) -> None:
        self.server: Server
        self.special: Callable[[Request], Answer | None] = lambda request: None

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        return self.special(request) or self.usual(request)

    def usual(self, request: Request) -> Answer:
        raise NotImplementedError


@contextlib.contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[Server]:
    server = Server(answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def ranged(request: Request, body: bytes, headers: dict[str, str]) -> Answer:
    """Answer with a file, or the part of it that is asked for."""
    if match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
        start, last = int(match[1]), int(match[2] or len(body) - 1)
        if start >= len(body):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        headers = {**headers, "Content-Range": f"bytes {start}-{last}/{len(body)}"}
        return Answer(206, body[start : last + 1], headers)
    return Answer(200, body, headers)


@dataclass
class Resource:
    """What a path of a `Web` gives, and how."""

    content: bytes = b""
    etag: str | None = '"first"'
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True  # whether a changed file is given whole, as it should be
    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    framing: str = "length"
    cuts: list[int] = field(default_factory=list)  # bytes after which the connection breaks, one per request
    hold: threading.Event | None = None
    then: Resource | None = None  # takes this one's place after the first request


class Web(Service):
    """A web server with files by path."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: dict[str, Resource] = {}

    @property
    def url(self) -> str:
        return self.server.address

    def put(self, path: str, content: bytes = b"", **how: Any) -> str:
        """Serve something and return its address."""
        self.resources[path] = Resource(content, **how)
        return self.url + path

    def usual(self, request: Request) -> Answer:
        resource = self.resources.get(request.path, Resource(status=404))
        if resource.then:
            self.resources[request.path] = resource.then
        status = resource.statuses.pop(0) if resource.statuses else resource.status
        if status != 200:
            return Answer(status, b"", resource.headers)
        about = {"Content-Type": "application/octet-stream"}
        about |= {} if resource.etag is None else {"ETag": resource.etag}
        about |= {} if resource.modified is None else {"Last-Modified": resource.modified}
        same = request.headers.get("if-range") in (None, resource.etag, resource.modified) or not resource.if_range
        whole = Answer(200, resource.content, about)
        answer = ranged(request, resource.content, about) if resource.ranges and same else whole
        answer.headers |= resource.headers
        answer.cut = resource.cuts.pop(0) if resource.cuts else None
        answer.hold, answer.framing = resource.hold, resource.framing
        return answer

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were asked for."""
        return [request.headers.get("range") for request in self.server.requests]

    def forget(self) -> None:
        """Count requests and bytes from now on."""
        self.server.requests.clear()
        self.server.n_bytes = 0

"""A web server on this machine whose answers are a function of the request."""

from __future__ import annotations

import contextlib
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click.testing
import yaml

from stages.fetch import main


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes of the body that are sent before the connection ends
    hold: threading.Event | None = None  # which the connection's end waits for


class Server(ThreadingHTTPServer):
    """A server that keeps the requests, and the number of bytes of bodies that it sent."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.requests, self.n_bytes = answer, list[Request](), 0
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(urllib.parse.parse_qsl(parts.query))
        request = Request(self.command, urllib.parse.unquote(parts.path), query, headers)
        self.server.requests.append(request)
        answer = self.server.answer(request)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            sent = answer.body if answer.cut is None else answer.body[: answer.cut]
            self.server.n_bytes += len(sent)
            with contextlib.suppress(ConnectionError):  # a client need not read to the end
                self.wfile.write(sent)
                self.wfile.flush()
            if answer.hold:
                answer.hold.wait(60)

    do_HEAD = do_GET

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
        headers = {**headers, "Content-Range": f"bytes {start}-{last}/{len(body)}"}
        return Answer(206, body[start : last + 1], headers)
    return Answer(200, body, headers)


def invoke(source: dict[str, Any]) -> click.testing.Result:
    """Fetch a model called ``m`` from `source`, as the command line does."""
    write_params(source)
    return click.testing.CliRunner().invoke(main, ["models", "m"], catch_exceptions=False)


def write_params(source: dict[str, Any]) -> None:
    Path("params.yaml").write_text(
        yaml.safe_dump({"threads": 1, "models": {"m": {"source": source}}}), encoding="utf-8"
    )


def refusal(result: click.testing.Result, exit_code: int = 1) -> str:
    """Return the one line that the command ended with."""
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: "), result.output
    assert result.output.count("\n") == 1, result.output
    return result.output

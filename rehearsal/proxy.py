"""A forward proxy on this machine that plays some hosts itself, at their own addresses, and passes on to the others.

A client that has it as HTTPS_PROXY sends ``CONNECT host:443``. For a played host the proxy takes the host's place, with
a certificate of the run's own authority; to any other it opens a tunnel and sees nothing of what goes through it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.downloads.loopback import Answer, Request

HOP = 60.0  # seconds without a byte after which a tunnel is closed
PIECE = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A line of the log: what was asked, and what came of it."""

    seconds: float
    method: str
    host: str
    path: str
    first_byte: int  # that was asked for, 0 for the whole
    status: int  # 0: hung up without an answer
    n_bytes: int  # of the body that were sent
    trouble: str


class Proxy(ThreadingHTTPServer):
    """The proxy, running until `stop`.

    Parameters
    ----------
    hosts
        Whom it plays.
    context
        The certificate.
    answer
        Gives the answer to a request, whose header ``host`` says to whom, and the trouble that it was put into.
    upstream
        Host and port of the proxy by which this machine reaches other hosts, if there is one.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        hosts: frozenset[str],
        context: ssl.SSLContext,
        answer: Callable[[Request, bytes], tuple[Answer, str]],
        upstream: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hosts, self.context, self.answer, self.upstream = hosts, context, answer, upstream
        self.log: list[Entry] = []
        self.tunnels: list[str] = []
        self.began = time.monotonic()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        pass  # clients hang up


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Proxy
    played = ""  # the host, after CONNECT

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        if host in self.server.hosts:
            self.send_response(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            secure = self.server.context.wrap_socket(self.connection, server_side=True)
            self.connection, self.played = secure, host
            self.rfile, self.wfile = secure.makefile("rb"), secure.makefile("wb", 0)  # type: ignore[assignment]
            self.close_connection = False
            return
        self.server.tunnels.append(host)
        self.close_connection = True
        try:
            other = self.beyond(host, int(port))
        except OSError:
            self.send_error(502, "no connection")
            return
        with other:
            self.send_response(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            pass_on(self.connection, other)

    def beyond(self, host: str, port: int) -> socket.socket:
        """Open a connection to a host that is not played."""
        if self.server.upstream is None:
            return socket.create_connection((host, port), timeout=20)
        other = socket.create_connection(self.server.upstream, timeout=20)
        other.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        said = b""
        while not said.endswith(b"\r\n\r\n") and (piece := other.recv(1)):
            said += piece
        if b" 200 " not in said.split(b"\r\n")[0]:
            raise OSError("the proxy refused")
        return other

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        host = self.played or parts.hostname or ""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if host not in self.server.hosts:
            self.send_error(501, "only https goes beyond the played hosts")
            return
        headers = {name.lower(): value for name, value in self.headers.items()} | {"host": host}
        query = dict(urllib.parse.parse_qsl(parts.query))
        request = Request(self.command, urllib.parse.unquote(parts.path), query, headers)
        answer, trouble = self.server.answer(request, body)
        n_sent = self.give(answer)
        asked = headers.get("range", "").removeprefix("bytes=").partition("-")[0]
        self.server.log.append(
            Entry(
                round(time.monotonic() - self.server.began, 2),
                self.command,
                host,
                request.path,
                int(asked) if asked.isdigit() else 0,
                answer.status,
                n_sent,
                trouble,
            )
        )

    do_HEAD = do_POST = do_GET

    def give(self, answer: Answer) -> int:
        """Send an answer, of which `cut` may leave a part; return how many bytes of the body went out."""
        if not answer.status:
            self.reset()
            return 0
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return 0
        sent = answer.body if answer.cut is None else answer.body[: answer.cut]
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # a client need not read to the end
            self.wfile.write(sent)
        if answer.cut is not None:
            time.sleep(0.1)  # what was sent should arrive before the reset
            self.reset()
        return len(sent)

    def reset(self) -> None:
        """Break the connection off, as a router does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_: Any) -> None:
        pass


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    ends = {one: other, other: one}
    while ready := select.select(list(ends), [], [], HOP)[0]:
        for end in ready:
            try:
                piece = end.recv(PIECE)
                if not piece:
                    return
                ends[end].sendall(piece)
            except OSError:
                return

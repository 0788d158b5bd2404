"""Parts of a dataset embedded by workers of a Dask cluster: the same function on the same parts, so the same vectors.

Workers read the labelled cells and the model's files in this repository's folder on a file system that they share with
this process, or in a clone of their own (``GENEPT_ROOT`` in a worker's environment). Before it begins, each worker
compares the hashes of the model's files and code, the settings and the versions of the libraries with those of this
process. Each uses the GPUs that it sees. A part that a worker was at when it died is given to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genept.core import cli, compute, files
from genept.core.errors import InputError
from genept.core.params import Params

if TYPE_CHECKING:
    from distributed import Client

LIBRARIES = ("numba", "numpy", "scipy", "torch", "tokenizers", "transformers", "zarr")
TIMEOUT = 20  # seconds to wait for a scheduler
FOLDER = "GENEPT_ROOT"
AT_ONCE = 2  # parts that are given to each worker ahead
DEVICE = "kind of device"


def facts(identity: Callable[[], dict[str, str]], params: Params, root: str) -> dict[str, str]:
    """Return all that vectors depend on where this runs, or the ``error`` that keeps a worker from working.

    `identity` returns hashes of the model's settings and files.
    """
    try:
        with prepared(params, root):
            libraries = {f"version of {name}": version(name) for name in LIBRARIES}
            python = {"version of Python": ".".join(map(str, sys.version_info[:2]))}
            return {
                **libraries,
                **python,
                "code": code_sha256(),
                **identity(),
                DEVICE: compute.resolve_device(params.device),
            }
    except Exception as error:  # noqa: BLE001  (it is told where it can be read)
        return {"error": " ".join(str(getattr(error, "message", None) or cli.explain(error) or repr(error)).split())}


@functools.cache
def code_sha256() -> str:
    """Return a hash of this package as it was when this process began to work."""
    digest = hashlib.sha256()
    for path in sorted((files.ROOT / "genept").rglob("*.py")):
        digest.update(path.relative_to(files.ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def prepared(params: Params, root: str) -> Iterator[None]:
    """Work as a stage does: in the folder of the repository, with as many threads."""
    folder = Path(os.environ.get(FOLDER, root))
    if not (folder / "params.yaml").is_file():
        raise InputError(
            f"no repository in {folder}; workers need it on a shared file system, or a clone whose place {FOLDER} tells"
        )
    os.chdir(folder)
    cli.prepare(params)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(params.threads)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(params.threads):
        yield


def compare(found: dict[str, str], expected: dict[str, str], worker: str) -> None:
    """Raise `InputError` if a worker differs from what is expected."""
    if "error" in found:
        raise InputError(f"worker {worker}: {found['error']}")
    for name, value in expected.items():
        if found.get(name) == value:
            continue
        if name.startswith("version"):
            raise InputError(
                f"worker {worker}: {name} is {found.get(name)}, elsewhere {value}; install the same requirements.txt"
            )
        if name == DEVICE:
            raise InputError(
                f"worker {worker} computes on {found[name]}, another on {value}; set device in params.yaml"
            )
        advice = "restart it with this repository" if name == "code" else "`dvc pull` there brings the files"
        raise InputError(f"worker {worker}: its {name} differ from those of this process; {advice}")


@contextlib.contextmanager
def connected(params: Params) -> Iterator[Client]:
    """Connect to the scheduler at ``scheduler`` or ``DASK_SCHEDULER_ADDRESS``, else start workers on this machine."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError(
            "executor: dask needs Dask; install it by `pip install -r requirements-dask.txt`, or set executor to local"
        ) from None
    logging.disable(logging.CRITICAL)  # what Dask logs at length is one line here
    address = params.scheduler or dask.config.get("scheduler-address", None)
    with contextlib.ExitStack() as stack:
        try:
            if address:
                client = stack.enter_context(Client(address, timeout=TIMEOUT, set_as_default=False))
            else:
                n_workers = max(1, (os.cpu_count() or 1) // params.threads)
                options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": None}
                cluster = stack.enter_context(LocalCluster(**options, silence_logs=50))
                client = stack.enter_context(Client(cluster, set_as_default=False))
            client.wait_for_workers(1, timeout=TIMEOUT)
        except (OSError, TimeoutError, ValueError) as error:
            if address:
                raise InputError(
                    f"no Dask scheduler with a worker answers at {address} ({' '.join(str(error).split())[:120]}); "
                    "start them, or set executor to local"
                ) from None
            raise
        yield client


def each(
    client: Client,
    numbers: Sequence[int],
    names: Sequence[str],
    task: Callable[[int], Any],
    folder: Path,
) -> Iterator[tuple[int, Any]]:
    """Call a function for each number on the workers, and yield number and result as they come.

    `names` are different for different results. `InputError` if the scheduler dies, or a part has killed several
    workers; finished parts are in `folder`.
    """
    from distributed import CancelledError, KilledWorker, as_completed
    from distributed.comm import CommClosedError

    waiting = iter(zip(numbers, names, strict=True))
    futures: dict[Any, int] = {}

    def submit() -> list[Any]:
        for number, name in waiting:
            future = client.submit(task, number, key=f"{name}-{number}", pure=False)
            futures[future] = number
            return [future]
        return []

    n_ahead = AT_ONCE * max(1, len(client.scheduler_info()["workers"]))
    done = as_completed([one for _ in range(n_ahead) for one in submit()], loop=client.loop)
    try:
        for future in done:
            number = futures.pop(future)
            result = future.result()
            future.release()
            yield number, result
            done.update(submit())
    except KilledWorker as error:
        raise InputError(
            f"a part ended {error.allowed_failures + 1} workers, as when memory is out; give workers more memory. "
            f"Finished parts are in {folder}"
        ) from None
    except (CancelledError, CommClosedError, asyncio.CancelledError, OSError, TimeoutError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise InputError(
            f"the Dask scheduler is gone ({type(error).__name__}); finished parts are in {folder}, the next run goes "
            "on with the others"
        ) from None


def where() -> str:
    """Name this machine and process."""
    return f"{socket.gethostname()} ({os.getpid()})"

"""Parts of a dataset given to workers of a Dask cluster: the same function on the same parts, so the same results.

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
import itertools
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from genept.core import cli, compute, files
from genept.core.errors import InputError
from genept.core.pace import readable
from genept.core.params import Params
from genept.data import cells
from genept.engines import config as models
from genept.engines.work import Work, digest

if TYPE_CHECKING:
    from distributed import Client

LIBRARIES = ("anndata", "numba", "numpy", "scikit-learn", "scipy", "torch", "tokenizers", "transformers", "zarr")
PYTHON = "version of Python"
TIMEOUT = 20  # seconds to wait for a scheduler
LOOK, PATIENCE = 5, 300  # seconds between looks at the workers, and to wait for one where none is left
FOLDER = "GENEPT_ROOT"
AT_ONCE = 2  # parts that are given to each worker ahead
DEVICE = "kind of device"


@dataclass(frozen=True)
class Workers:
    """The workers of a cluster, which all work as this process would."""

    client: Client
    work: Work
    expected: dict[str, str]  # `facts` of all of them
    root: str  # the repository here

    @property
    def n(self) -> int:
        """How many there are now."""
        return len(self.client.scheduler_info()["workers"])

    @property
    def device(self) -> str:
        """The kind of device on which they compute."""
        return self.expected[DEVICE]

    def results(
        self, task: Callable[..., Any], items: Sequence[Any], folder: Path, in_turn: bool = False
    ) -> Iterator[tuple[Any, Any]]:
        """Call ``task(work, cells, item)`` on the workers, and yield items and results as they come.

        If they are wanted `in_turn`, those that are early wait on their workers. Workers that join later get items,
        too. `InputError` if the scheduler dies, no worker is left for `PATIENCE`, or an item has killed several
        workers; what is finished is in `folder`.
        """
        from distributed import wait

        function = functools.partial(on_worker, task, self.work, self.expected, self.root)
        waiting, given, last_seen = iter(items), dict[Any, Any](), time.monotonic()
        with explained(folder):
            while True:
                if n := self.n:
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > PATIENCE:
                    raise InputError(
                        f"no Dask worker is left since {readable(PATIENCE)}; finished parts are in {folder}, the next "
                        "run goes on with the others"
                    )
                for item in itertools.islice(waiting, max(0, AT_ONCE * max(1, n) - len(given))):
                    key = f"{self.work.model}-{uuid4().hex}"  # no other run's on the same scheduler
                    given[self.client.submit(function, item, key=key, pure=False)] = item
                if not given:
                    return
                wanted = list(given)[: 1 if in_turn else None]
                try:
                    with self.client.as_current():
                        done = wait(wanted, timeout=LOOK, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                future = next(one for one in wanted if one in done)
                item, result = given.pop(future), future.result()
                future.release()
                yield item, result
                del result  # before the next comes


def on_worker(task: Callable[..., Any], work: Work, expected: dict[str, str], root: str, item: Any) -> Any:
    """Call a function on a worker, which may have come after the others; `InputError` if it is not as they are."""
    compare(facts(work, root), expected, where())
    try:
        with prepared(work.params, root):
            return task(work, cells.of(work.dataset), item)
    except (InputError, OSError) as error:
        raise InputError(f"worker {where()}: {told(error)}") from None


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say in one line why no more results come; those that did are in `folder`."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
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


def facts(work: Work, root: str) -> dict[str, str]:
    """Return all that results depend on where this runs, files as they are now, or the ``error`` that keeps it away."""
    try:
        with prepared(work.params, root):
            for path in (cells.labelled(work.dataset), models.path(work.model)):
                if not path.exists():
                    raise InputError(f"{path} is not in {Path.cwd()}; bring it there, by git or `dvc pull`")
            identities = [part.identity() for part in cells.of(work.dataset).parts]
            return {
                **{f"version of {name}": version(name) for name in LIBRARIES},
                PYTHON: ".".join(map(str, sys.version_info[:2])),
                "code": code_sha256(),
                f"cells of {work.dataset}": digest(identities),
                **Work(work.dataset, work.model, work.params).hashes,
                DEVICE: compute.resolve_device(work.params.device),
            }
    except Exception as error:  # noqa: BLE001  (it is told where it can be read)
        return {"error": told(error)}


def told(error: Exception) -> str:
    """Return an error as one line."""
    return " ".join(str(getattr(error, "message", None) or cli.explain(error) or repr(error)).split())


@functools.cache
def code_sha256() -> str:
    """Return a hash of this package as it was when this process began to work."""
    code = hashlib.sha256()
    for path in sorted((files.ROOT / "genept").rglob("*.py")):
        code.update(path.relative_to(files.ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()


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
            advice = "give it the same" if name == PYTHON else "install the same requirements.txt"
            raise InputError(f"worker {worker}: {name} is {found.get(name)}, elsewhere {value}; {advice}")
        if name == DEVICE:
            raise InputError(
                f"worker {worker} computes on {found[name]}, another on {value}; set device in params.yaml"
            )
        is_in_git = name == "code" or name.startswith("settings")
        advice = "restart it with this repository" if is_in_git else "`dvc pull` there brings the files"
        what = "its code is not that" if name == "code" else f"its {name} differ from those"
        raise InputError(f"worker {worker}: {what} of this process; {advice}")


@contextlib.contextmanager
def connected(work: Work) -> Iterator[Workers]:
    """Connect to the scheduler at ``scheduler`` or ``DASK_SCHEDULER_ADDRESS``, else start workers on this machine.

    `InputError` if one of the workers differs from this process.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
        from distributed.comm import get_address_host_port
    except ImportError:
        raise InputError(
            "executor: dask needs Dask; install it by `pip install -r requirements-dask.txt`, or set executor to local"
        ) from None
    logging.disable(logging.CRITICAL)  # what Dask logs at length is one line here
    params = work.params
    address = str(params.scheduler or dask.config.get("scheduler-address", None) or "").strip()
    with contextlib.ExitStack() as stack:
        try:
            if address:
                get_address_host_port(address if "://" in address else f"tcp://{address}", strict=True)
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
        yield compared(client, work)


def compared(client: Client, work: Work) -> Workers:
    """Return the workers, once they have been compared with this process and each other."""
    root = str(Path.cwd())
    own = facts(work, root)
    if "error" in own:
        raise InputError(own["error"])
    try:
        found = client.run(facts, work, root)
    except Exception as error:
        missing = re.search("No module named '([^']*)'", str(error))  # Dask has made a text of the error
        if missing is None:
            raise
        raise InputError(
            f"a worker cannot import {missing[1]}; start workers with this repository's environment, in its folder by "
            "`python -m distributed.cli.dask_worker` or with the folder in PYTHONPATH"
        ) from None
    expected = own | {DEVICE: next(iter(found.values())).get(DEVICE, own[DEVICE])}
    for worker, one in found.items():
        compare(one, expected, worker)
    return Workers(client, work, expected, root)


def where() -> str:
    """Name this machine and process."""
    return f"{socket.gethostname()} ({os.getpid()})"

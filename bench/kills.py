"""Kill runs of a tiny grid at random moments, and see whether the next run finishes with the same files.

``python -m bench.kills --n 100 --seed 0``. Each round removes what some stages have made, starts ``make repro``,
``dvc repro`` or ``dvc exp run``, and sends SIGKILL after a random time to make, to DVC, to the stage that runs, or to
all of them. Then ``make recover`` (after an experiment, else in every other round) and ``make repro`` run. They must
finish, every output, ``dvc.lock`` and every setting must be what an undisturbed run gave, and nothing may be left: no
temporary folder, no lock of DVC, no process, no detached HEAD, nothing in git's stash or index.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import psutil
import yaml

from genept.core import files
from genept.repository import recovery

RESULT = Path("docs/kills.json")
COMMANDS = (("make", "repro"), ("dvc", "repro"), ("dvc", "exp", "run", "-S", "seed=1"))
VICTIMS = ("make", "dvc", "stage", "all")
OUTPUTS = ("data", "metrics", "models", "plots")
LONGEST = 1800  # seconds of a command


class Playground:
    """A clone of this repository with the tiny grid of the tests, finished and committed."""

    def __init__(self, folder: Path) -> None:
        from tests import forks, helpers
        from tests.pipeline.site import OWN_FILE, Site, symbols, tiny

        self.site = Site(folder / "files")
        genes = symbols()
        helpers.write_counts(self.site.folder / "alpha.h5ad", genes, 160, seed=1)
        helpers.write_encoder(self.site.folder / "encoder", [f"{gene}: protein" for gene in genes])
        (self.site.folder / "genes_ncbi.py").write_text("GENEID2NT = {\n}\n", encoding="utf-8")
        shutil.copy(helpers.HGNC, self.site.folder / "hgnc.tsv")
        self.path = helpers.clone(folder / "project")
        for name in ("metrics", "plots", "dvc.lock"):
            files.remove(self.path / name)
        settings = tiny(self.site)
        settings["params"]["threads"] = 2  # with workers, which may be left over
        helpers.write_settings(self.path, **settings)
        (self.path / OWN_FILE).write_text("about these cells\n", encoding="utf-8")
        commands = self.path / ".venv/bin"
        commands.mkdir(parents=True)
        (commands / "dvc").symlink_to(Path(sys.executable).with_name("dvc"))
        self.environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment["PATH"] = (
            f"{commands}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        for name in ("PYTHONPATH", "GENEPT_DOWNLOADS"):
            self.environment.pop(name, None)
        address = folder / "socket"
        self.server = subprocess.Popen(
            [sys.executable, forks.__file__, os.fspath(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.server.stdout is not None and self.server.stdout.readline() == b"ready\n"
        forks.write_shim(commands / "python", sys.executable, address, folder / "seconds.tsv")
        (self.path / ".venv/runtime.done").touch()
        self.commit("code")  # which the report names
        began = time.monotonic()
        self.run("make", "repro")
        self.seconds = time.monotonic() - began
        self.commit("results")
        self.run("dvc", "repro", "--force", "--single-item", "report")  # it names the last commit of data/*.lock.yaml
        self.commit("report")
        self.stages = list(self.lock())
        self.wanted = self.state()

    def restore(self, pristine: Path) -> None:
        """Make everything as it was in the beginning."""
        shutil.rmtree(self.path)
        shutil.copytree(pristine, self.path, symlinks=True)

    def run(self, *command: str) -> str:
        """Run a command to its end; `RuntimeError` if it fails or takes too long."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, timeout=LONGEST
        )
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
            )
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def lock(self) -> dict[str, Any]:
        """Return the entries of ``dvc.lock``."""
        return yaml.safe_load((self.path / "dvc.lock").read_text(encoding="utf-8"))["stages"]

    def state(self) -> dict[str, Any]:
        """Return the hash of each output, the entries of ``dvc.lock``, and the settings."""
        paths = (path for name in OUTPUTS for path in (self.path / name).rglob("*") if path.is_file())
        names = {path.relative_to(self.path).as_posix(): path for path in paths}
        hashes = {name: files.sha256(path) for name, path in names.items() if not name.startswith("data/cache/")}
        return {**hashes, "dvc.lock": self.lock(), "params.yaml": files.sha256(self.path / "params.yaml")}

    def experiments(self) -> str:
        """Return the experiments that have ended, each a reference of git's."""
        return self.run("git", "for-each-ref", "refs/exps/??/**")

    def forget(self, chance: random.Random) -> str:
        """Remove what a stage and some of those after it have made, and DVC's memory of runs; return the first."""
        first = chance.randrange(len(self.stages))
        lock = yaml.safe_load((self.path / "dvc.lock").read_text(encoding="utf-8"))
        for name in self.stages[first : first + chance.randint(1, 5)]:
            for out in lock["stages"].pop(name)["outs"]:
                files.remove(self.path / out["path"])
        (self.path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")
        files.remove(self.path / ".dvc/cache/runs")
        if chance.random() < 0.5:
            files.remove(self.path / "data/cache")
        return self.stages[first].partition("@")[0]

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that run in the clone, by what they are."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()) == self.path and process.status() != psutil.STATUS_ZOMBIE:
                    is_stage = process.ppid() == self.server.pid
                    kind = "stage" if is_stage else "dvc" if recovery.is_dvc(process.pid) else process.name()
                    found.setdefault(kind, []).append(process)
        return found

    def kill(self, command: subprocess.Popen[bytes], victim: str) -> str | None:
        """Kill the victim of a command; return what was killed, None if the command has ended already."""
        running = self.processes()
        if command.poll() is not None:
            return None
        if victim == "all" or not running.get(victim):
            victim = "all"
            os.killpg(command.pid, signal.SIGKILL)
        for process in [one for kind in ([*running] if victim == "all" else [victim]) for one in running.get(kind, [])]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return victim

    def faults(self) -> list[str]:
        """Return what is not as after an undisturbed run."""
        found = [f"left: {path}" for path in self.path.rglob(".writing-*")]
        found += [f"process: {kind}" for kind in self.processes()]
        lock = self.path / ".dvc/tmp/rwlock"
        if lock.exists() and json.loads(lock.read_text() or "0") != {}:
            found.append(f"rwlock: {lock.read_text()[:80]!r}")
        state = self.state()
        found += [f"differs: {name}" for name in state.keys() | self.wanted if state.get(name) != self.wanted.get(name)]
        for question in ("stash list", "diff --cached --name-only", "diff --name-only", "for-each-ref refs/exps/exec"):
            answer = self.run("git", *question.split())
            lines = [line for line in answer.splitlines() if not line.endswith(("EXEC_HEAD", "dvc.lock"))]
            found += [f"git {question}: {line}" for line in lines]
        self.run("git", "symbolic-ref", "HEAD")
        return found

    def round(self, chance: random.Random) -> tuple[str, str, str, list[str]] | None:
        """Kill one run, run again; return first stage, command, victim and faults, None if it ended before the kill."""
        stage, command, victim = self.forget(chance), chance.choice(COMMANDS), chance.choice(VICTIMS)
        before = self.experiments()
        process = subprocess.Popen(
            command, cwd=self.path, env=self.environment, start_new_session=True, stdout=-3, stderr=-3
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.7 * self.seconds))
        killed = self.kill(process, victim)
        process.wait()
        if killed is None:
            return None
        try:
            if "exp" in command or chance.random() < 0.5:
                self.wait_for_dvc()
                self.run("make", "recover")
                if killed == "stage" or self.experiments() != before:  # it has failed, or ended: its settings stay
                    self.run("git", "checkout", "params.yaml")
            self.run("make", "repro")
            faults = self.faults()
        except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
            faults = [str(error)]
        return stage, " ".join(command[:3]), killed, faults

    def wait_for_dvc(self) -> None:
        """Wait for a DVC that lost a stage to end by itself; what was killed is not waited for."""
        psutil.wait_procs(self.processes().get("dvc", []), timeout=LONGEST)


@click.command()
@click.option("--n", "n_kills", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=RESULT, show_default=True)
def main(n_kills: int, seed: int, output: Path) -> None:
    """Kill N runs and write how many of them recovered; exit code 1 if one did not."""
    chance, counts = random.Random(seed), {name: Counter[str]() for name in ("stage", "command", "victim")}
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        playground = Playground(Path(temporary).resolve())
        pristine = Path(temporary, "pristine")
        shutil.copytree(playground.path, pristine, symlinks=True)
        click.echo(f"an undisturbed run takes {playground.seconds:.0f} s")
        done = 0
        while done < n_kills:
            result = playground.round(chance)
            if result is None:  # the run ended first, perhaps an experiment, whose settings stay
                playground.restore(pristine)
                continue
            done += 1
            for name, value in zip(counts, result[:3], strict=True):
                counts[name][value] += 1
            click.echo(
                f"{done}: {result[2]} of {result[1]}, from {result[0]}: {'; '.join(result[3][:5]) or 'recovered'}"
            )
            if result[3]:
                failed.append(f"{done}: {result[2]} of {result[1]}, from {result[0]}: {result[3][0]}")
                playground.restore(pristine)
            summary = {"kills": done, "seed": seed, "recovered": done - len(failed), "failed": failed}
            sorts = {name: dict(sorted(count.items())) for name, count in counts.items()}
            files.write_json(output, {**summary, **sorts})
        playground.server.kill()
    click.echo(f"{n_kills - len(failed)} of {n_kills} recovered: {output}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(prog_name="python -m bench.kills")

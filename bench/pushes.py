"""Pushes that are killed: ``python -m bench.pushes`` kills 20 of them, pushes again and pulls; no file may be lost.

Each push goes to a bucket of its own, on an S3 server of this machine (rclone), and is killed by SIGKILL at a random
moment between shortly before its first object and its end. `python -m stages.verify --remote` then finds what is
missing, and nothing that is damaged; the next push completes the remote, and a fresh clone pulls every file and runs
nothing. Also used by tests/repository/test_remote.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from s3fs import S3FileSystem

from genept.repository import lock, objects
from genept.repository.tracked import CHANGED, MISSING, Problem

ROOT = Path(__file__).resolve().parents[1]
KEYS = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET"}
DVC = [
    sys.executable,
    "-c",
    "import sys, site; site.addsitedir(sys.argv.pop(1)); from dvc.cli import main; sys.exit(main())",
]
STAGE = """stages:
  make:
    cmd: mkdir out && for i in $(seq {n_files}); do head -c {size} /dev/urandom > out/$i; done && cp {own} answer
    deps:
    - {own}
    params:
    - seed
    outs:
    - out
    - answer
"""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve the folders in a folder as buckets; gives the address."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "rclone",
        "serve",
        "s3",
        "--addr",
        "127.0.0.1:0",
        "--auth-key",
        ",".join(KEYS.values()),
    ]
    with subprocess.Popen([*command, folder], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = next(filter(None, (re.search(r"http://[\d.:]+", line) for line in process.stderr)))[0]
            threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the server
            yield address
        finally:
            process.kill()


def run(*command: str, cwd: Path, code: int = 0) -> str:
    """Run a command of DVC or git with the keys of the server; the settings of checksums are the project's."""
    words = [*DVC, os.fspath(ROOT / ".dvc"), *command[1:]] if command[0] == "dvc" else list(command)
    result = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    assert result.returncode == code, f"{' '.join(command)}: {text}"
    return text


def environment() -> dict[str, str]:
    """Return the environment of commands: of AWS only the keys."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**own, **KEYS}


def make_project(folder: Path, n_files: int, size: int) -> Path:
    """Make a project with the settings of this one, and one stage that has run."""
    (folder / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    own = folder.with_suffix(".txt")  # a local file, outside the repository
    own.write_text("done\n")
    (folder / "dvc.yaml").write_text(STAGE.format(n_files=n_files, size=size, own=own))
    (folder / ".gitignore").write_text("/out\n/answer\n")
    run("git", "init", "-q", cwd=folder)
    run("dvc", "repro", "-q", cwd=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit everything."""
    run("git", "add", "-A", cwd=folder)
    run("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-qm", "run", cwd=folder)


def add_remote(folder: Path, url: str, endpoint: str = "") -> None:
    """Name a remote as docs/running.md says."""
    lines = ["[core]", "    remote = shared", "['remote \"shared\"']", f"    url = {url}", "    verify = true"]
    if endpoint:
        lines += [f"    endpointurl = {endpoint}", "    region = us-east-1"]
    (folder / ".dvc/config.local").write_text("\n".join(lines) + "\n")


def problems(folder: Path) -> list[Problem]:
    """Return what `verify` finds on the remote."""
    S3FileSystem.clear_instance_cache()  # it keeps listings
    with contextlib.chdir(folder):
        return objects.verify(lock.read(), [], "shared")[-1].problems


@click.command()
@click.option("--pushes", default=20, show_default=True, help="How many pushes to kill.")
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
def main(pushes: int, seed: int) -> None:
    """Kill pushes at random moments, and print what came of them."""
    os.environ.update(environment())
    site.addsitedir(os.fspath(ROOT / ".dvc"))
    draw = random.Random(seed)
    whole = none = damaged = lost = 0
    with tempfile.TemporaryDirectory() as place:
        buckets = Path(place, "buckets")
        for number in range(pushes + 1):  # before the server lists them
            (buckets / str(number)).mkdir(parents=True)
        project = make_project(Path(place, "project"), n_files=60, size=500_000)
        n_objects = sum(path.is_file() for path in (project / ".dvc/cache/files/md5").rglob("*"))
        with server(buckets) as endpoint:
            first = duration = 0.0
            for number in range(pushes + 1):  # one that nobody kills says how long they take
                add_remote(project, f"s3://{number}/genept", endpoint)
                shutil.rmtree(project / ".dvc/tmp", ignore_errors=True)
                began = time.monotonic()
                words = [*DVC, os.fspath(ROOT / ".dvc"), "push", "-q"]
                with subprocess.Popen(words, cwd=project, env=environment(), stderr=subprocess.DEVNULL) as push:
                    if number:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            push.wait(draw.uniform(first, duration))
                        push.send_signal(signal.SIGKILL)
                    while not number and push.poll() is None:
                        if not first and any((buckets / "0").rglob("files")):
                            first = 0.9 * (time.monotonic() - began)
                        time.sleep(0.01)
                duration = duration or time.monotonic() - began
                if not number:
                    continue
                found = Counter(one.kind for one in problems(project))
                whole, none = whole + (not found[MISSING]), none + (found[MISSING] == n_objects)
                damaged += found[CHANGED]
                for one in problems(project) if found[CHANGED] else ():
                    S3FileSystem(endpoint_url=endpoint).rm_file(one.path)
                run("dvc", "push", "-q", cwd=project)
                fresh = Path(place, f"fresh-{number}")
                run("git", "clone", "-q", os.fspath(project), os.fspath(fresh), cwd=buckets)
                shutil.copy(project / ".dvc/config.local", fresh / ".dvc/config.local")
                run("dvc", "pull", "-q", cwd=fresh)
                lost += bool(problems(fresh)) or "up to date" not in run("dvc", "status", cwd=fresh)
                shutil.rmtree(fresh)
            run("dvc", "exp", "run", "-q", "--queue", "-S", "seed=1", "--name", "queued", cwd=project)
            run("dvc", "exp", "run", "-q", "--run-all", cwd=project)
            run("dvc", "exp", "apply", "-q", "queued", cwd=project)
            run("dvc", "push", "-q", cwd=project)
            pushed = "all of its objects are" if not problems(project) else "objects are not"
    moments = f"{none} before the first object was there, {pushes - none - whole} in between, {whole} after the last"
    click.echo(f"{pushes} pushes of {n_objects} objects killed: {moments}")
    click.echo(f"{damaged} objects damaged, {lost} fresh clones lacked a file after the next push")
    click.echo(f"An experiment of the queue, which reads a local file, was pushed: {pushed} on the remote")


if __name__ == "__main__":
    main(prog_name="python -m bench.pushes")

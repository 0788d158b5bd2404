"""Where a file of the pipeline comes from: the stages, parameters and hashes that ``dvc.lock`` records."""

from __future__ import annotations

import os
from pathlib import Path

import click

from genept.core.cli import explain, say
from genept.core.errors import InputError
from genept.report import trace
from genept.repository import lock as locks


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Print where the file PATH comes from: stages, parameters, inputs and their hashes, down to the downloads.

    PATH is any output of the pipeline, for example metrics/scores/covid/scgpt_mini.json. Nothing is printed of a file
    that is not as its stage wrote it. Files behind it that have changed since are marked, and the exit code is then 1.
    """
    from genept.repository import tracked

    path, lock = Path(os.path.relpath(path)), locks.read()
    if not lock:
        raise InputError(f"{locks.LOCK}: no such file; run `dvc repro` first, from the top folder of the repository")
    if not trace.writers(path, locks.outputs(lock)):
        raise InputError(
            f"{path}: no stage in {locks.LOCK} writes this file; `dvc stage list` shows what the stages write"
        )
    if not os.path.lexists(path):
        raise InputError(f"{path}: no such file; `dvc checkout` or `dvc repro` brings it back")
    try:
        tracked.refuse_changed((one for one in locks.recorded(lock) if one.is_out), [path.as_posix()])
        behind = trace.chain(path, lock)
        with tracked.open_repository() as repo:
            files = tracked.Files(repo, (one.path for one in locks.recorded(lock) if one.stage in behind))
    except OSError as error:
        raise InputError(explain(error) or str(error)) from None
    marked = set()

    def state(recorded: str, md5: str) -> str:
        """Say whether a file or folder is no longer as recorded."""
        if files.digest(recorded) == md5:
            return ""
        marked.add(recorded)
        return "   CHANGED since" if files.inside[recorded] else "   NOT HERE"

    click.echo(path.as_posix())
    for line in trace.explain(path, lock, state):
        text = line.lstrip()
        say(text, line[: -len(text)])
    if marked:
        raise InputError(f"{len(marked)} files behind it are not as {locks.LOCK} records; `make verify` lists them")


if __name__ == "__main__":
    main(prog_name="python -m stages.trace")

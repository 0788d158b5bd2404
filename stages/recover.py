"""Bring the repository back after a command was killed; ``python -m stages.recover --help`` says how."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from genept.core import files, orphans
from genept.core.cli import OUTPUTS
from genept.core.errors import InputError
from genept.repository import recovery


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--locks", is_flag=True, help="Only free the locks and remove left-overs: what `make` does before DVC.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def main(locks: bool, command: tuple[str, ...]) -> None:
    """Make everything run again after `dvc repro`, `dvc exp run`, a stage or git was killed.

    \b
    - Locks of DVC that no process holds are removed; a half-written dvc.lock becomes the committed one.
    - Half-written outputs (.writing-*) are removed, and the copies of the repository that a killed `dvc exp run --temp`
      has left.
    - After a killed `dvc exp run`, HEAD returns to its branch, and params.yaml and other settings files to what they
      were before it, uncommitted changes of yours included. All other files stay as they are, and so does a settings
      file that was changed after the kill. An experiment that failed, since one of its stages did or was killed alone,
      leaves its settings on purpose: a line says how to undo them.
    With COMMAND, such as `dvc repro`, it becomes that command in the end, which ends with its parent.
    `dvc repro` or the same `dvc exp run` then goes on: what had finished is not computed again.
    """
    for line in done(locks):
        click.echo(line)
    if command:
        orphans.die_with_parent()
        os.execvp(command[0], command)


def done(only_locks: bool) -> Iterator[str]:
    """Do it, and yield a line for each thing that was not as it should be."""
    pid = recovery.running()
    if pid is not None and not only_locks:
        raise InputError(f"DVC runs in this folder (process {pid}); wait for its end, or end it by `kill {pid}`")
    yield from recovery.free_locks()
    for folder in files.sweep(*OUTPUTS, Path(".dvc/tmp"), Path(".dvc/downloads")):
        yield f"{folder}: removed, its process was killed"
    if pid is not None:
        return
    if not only_locks:
        yield from recovery.remove_copies()
        yield from recovery.free_git()
        yield from list(recovery.end_experiment()) or recovery.changed_settings()
    elif recovery.is_left():
        yield "a killed `dvc exp run` has left its settings; `make recover` brings back those before it"
    yield from recovery.restore_lock()


if __name__ == "__main__":
    main(prog_name="python -m stages.recover")

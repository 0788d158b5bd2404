"""Where a file of the pipeline comes from: the stages, parameters and hashes that ``dvc.lock`` records."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import click

from genept.core.cli import say
from genept.core.errors import InputError
from genept.report import trace


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Print where the file PATH comes from: stages, parameters, inputs and their hashes, down to the downloads.

    PATH is any output of the pipeline, for example metrics/scores/covid/scgpt_mini.json.
    """
    lock = trace.read()
    if not lock:
        raise InputError(f"{trace.LOCK}: no such file; run `dvc repro` first, from the top folder of the repository")
    if not trace.writers(path, trace.outputs(lock)):
        raise InputError(
            f"{path}: no stage in {trace.LOCK} writes this file; `dvc stage list` shows what the stages write"
        )
    click.echo(path.as_posix())
    for line in trace.explain(path, lock, functools.cache(state)):
        text = line.lstrip()
        say(text, line[: -len(text)])


def state(path: str, recorded: str) -> str:
    """Say whether a file or folder is no longer as recorded."""
    place = Path(path)
    if not place.exists():
        return "   NOT HERE"
    return "" if digest(place) == recorded else "   CHANGED since"


def digest(path: Path) -> str:
    """Return DVC's hash of a file or folder: a folder's is that of the list of its files and their hashes."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()
    inside = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = [{"md5": digest(file), "relpath": name} for name, file in inside if "__pycache__" not in file.parts]
    return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


if __name__ == "__main__":
    main(prog_name="python -m stages.trace")

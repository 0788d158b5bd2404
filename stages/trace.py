"""Where a file of the pipeline comes from: the stages, parameters and hashes that ``dvc.lock`` records."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from genept.core.cli import say
from genept.core.config import read_yaml
from genept.core.errors import InputError

LOCK = Path("dvc.lock")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Print where the file PATH comes from: stages, parameters, inputs and their hashes, down to the downloads.

    PATH is any output of the pipeline, for example metrics/scores/covid/scgpt_mini.json.
    """
    for line in chain(path):
        text = line.lstrip()
        say(text, line[: -len(text)])


def chain(path: Path) -> Iterator[str]:
    """Yield the lines of the chain behind a file or folder, the nearest stage first; `InputError` if there is none."""
    state.cache_clear()
    if not LOCK.exists():
        raise InputError(f"{LOCK}: no such file; run `dvc repro` first, from the top folder of the repository")
    lock = read_yaml(LOCK)["stages"]
    made_by = {out["path"]: name for name, stage in lock.items() for out in stage.get("outs", [])}
    if not writers(path, made_by):
        raise InputError(f"{path}: no stage in {LOCK} writes this file; `dvc stage list` shows what the stages write")
    yield path.as_posix()
    yield from explain(path, path.stem, lock, made_by, "", set())


def explain(
    path: Path, stem: str, lock: dict[str, Any], made_by: dict[str, str], indent: str, seen: set[str]
) -> Iterator[str]:
    """Yield the stages behind a path; each is spelled out once. `stem` is that of the traced file; see `writers`."""
    for name in writers(path, made_by, stem):
        if name in seen:
            yield f"{indent}by {name} (see above)"
            continue
        seen.add(name)
        stage = lock[name]
        yield f"{indent}by {name}: {stage['cmd'].strip()}"
        for file, values in stage.get("params", {}).items():
            yield from (f"{indent}   {'' if file == 'params.yaml' else f'{file}: '}{line}" for line in flatten(values))
        for out in stage.get("outs", []):
            if path.is_relative_to(out["path"]):
                yield f"{indent}   wrote {out['path']}  md5 {out['md5']}{state(out['path'], out['md5'])}"
        for dep in stage.get("deps", []):
            yield f"{indent}   from {dep['path']}  md5 {dep['md5']}{state(dep['path'], dep['md5'])}"
            yield from explain(Path(dep["path"]), stem, lock, made_by, f"{indent}      ", seen)


def writers(path: Path, made_by: dict[str, str], stem: str = "") -> list[str]:
    """Return the stages that wrote a path: the file itself, the folder that it is in, or the files in a folder.

    Of the stages that wrote a folder's files, only those of the model `stem`, as in ``metrics/scores/<d>/<stem>.json``,
    count if there are any: the score of one model does not come from the embeddings of the others.
    """
    for place in (path, *path.parents):
        if place.as_posix() in made_by:
            return [made_by[place.as_posix()]]
    inside = {out: name for out, name in made_by.items() if Path(out).is_relative_to(path)}
    of_model = {out: name for out, name in inside.items() if Path(out).stem == stem}
    return list(dict.fromkeys((of_model or inside).values()))


def flatten(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield ``a.b: value`` for every leaf of nested parameters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield f"{prefix}: {value}"


@functools.cache
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

"""Where a number comes from: the chain of stages, choices and hashes behind any file of the pipeline.

Usage: ``python -m stages.trace metrics/scores/covid/scgpt_mini.json``
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from genept.core.errors import InputError

LOCK = Path("dvc.lock")


def producers(lock: dict[str, Any]) -> dict[str, str]:
    """Map every output path of a parsed ``dvc.lock`` to the name of the stage that wrote it."""
    return {out["path"]: name for name, stage in lock["stages"].items() for out in stage.get("outs", [])}


def find(path: str, made_by: dict[str, str]) -> str | None:
    """Return the stage that wrote `path`, or the folder it is in; None for a file that no stage writes."""
    for candidate in (path, *map(str, Path(path).parents)):
        if candidate in made_by:
            return made_by[candidate]
    return None


def flatten(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield ``a.b: value`` for every leaf of nested parameters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield f"{prefix}: {value}"


def state(path: str, recorded: str) -> str:
    """Say whether the file on disk is the recorded one (folders are not checked)."""
    if recorded.endswith(".dir") or not Path(path).is_file():
        return ""
    return "" if hashlib.md5(Path(path).read_bytes()).hexdigest() == recorded else "   CHANGED since"


def explain(lock: dict[str, Any], path: str, depth: int = 0, seen: set[str] | None = None) -> Iterator[str]:
    """Yield the lines of the chain behind `path`, nearest stage first; a stage is spelled out once."""
    seen = set() if seen is None else seen
    name = find(path, producers(lock))
    indent = "  " * depth
    if name is None:
        return
    if name in seen:
        yield f"{indent}by {name} (see above)"
        return
    seen.add(name)
    stage = lock["stages"][name]
    yield f"{indent}by {name}: {stage['cmd'].strip()}"
    for values in stage.get("params", {}).values():
        for line in flatten(values):
            yield f"{indent}   {line}"
    for dep in stage.get("deps", []):
        yield f"{indent}   from {dep['path']}  md5 {dep['md5']}{state(dep['path'], dep['md5'])}"
        yield from explain(lock, dep["path"], depth + 2, seen)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Print where the file PATH comes from: stages, parameters, inputs and their hashes, down to the downloads.

    PATH is any output of the pipeline, for example metrics/scores/covid/scgpt_mini.json.
    """
    import yaml

    if not LOCK.exists():
        raise InputError(f"{LOCK}: no such file; run `dvc repro` first, from the top folder of the repository")
    lock = yaml.safe_load(LOCK.read_text(encoding="utf-8"))
    if find(str(path), producers(lock)) is None:
        raise InputError(f"{path}: no stage in {LOCK} writes this file; `dvc stage list` shows what the stages write")
    click.echo(str(path))
    for line in explain(lock, str(path)):
        click.echo(line)


if __name__ == "__main__":
    main(prog_name="python -m stages.trace")

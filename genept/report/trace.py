"""Where a file of the pipeline comes from, by what ``dvc.lock`` records: stages, parameters, files and their hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genept.repository.lock import Lock, LockedStage, outputs


def explain(path: Path, lock: Lock, state: Callable[[str, str], str]) -> Iterator[str]:
    """Yield the lines of the chain behind a path, the nearest stage first; each stage is spelled out once.

    `state` is called with each path and its recorded hash; what it returns ends the line.
    """

    def of(path: Path, indent: str) -> Iterator[str]:
        for name in writers(path, made_by, stem):
            if name in seen:
                yield f"{indent}by {name} (see above)"
                continue
            seen.add(name)
            stage = lock[name]
            yield f"{indent}by {name}: {stage['cmd'].strip()}"
            yield from (f"{indent}   {line}" for line in parameters(stage))
            for out in stage.get("outs", []):
                if path.is_relative_to(out["path"]) or Path(out["path"]).is_relative_to(path):
                    yield f"{indent}   wrote {out['path']}  md5 {out['md5']}{state(out['path'], out['md5'])}"
            for dep in stage.get("deps", []):
                yield f"{indent}   from {dep['path']}  md5 {dep['md5']}{state(dep['path'], dep['md5'])}"
                yield from of(Path(dep["path"]), f"{indent}      ")

    made_by, stem, seen = outputs(lock), path.stem, set[str]()
    yield from of(path, "")


def chain(path: Path, lock: Lock) -> list[str]:
    """Return the names of the stages behind a path in the order of `explain`, each once."""
    made_by, names = outputs(lock), list[str]()

    def add(one: Path) -> None:
        for name in writers(one, made_by, path.stem):
            if name not in names:
                names.append(name)
                for dep in lock[name].get("deps", []):
                    add(Path(dep["path"]))

    add(path)
    return names


def writers(path: Path, made_by: Mapping[str, str], stem: str = "") -> list[str]:
    """Return the stages that wrote a path: the file itself, the folder that it is in, or the files in a folder.

    Of the stages that wrote a folder's files, only those of the model `stem`, as in ``metrics/scores/<d>/<stem>.json``,
    count if there are any: the score of one model does not come from the embeddings of the others.
    """
    for place in (path, *path.parents):
        if place.as_posix() in made_by:
            return [made_by[place.as_posix()]]
    inside = {out: name for out, name in made_by.items() if out.startswith(f"{path.as_posix()}/")}
    of_model = {out: name for out, name in inside.items() if Path(out).stem == stem}
    return list(dict.fromkeys((of_model or inside).values()))


def parameters(stage: LockedStage) -> list[str]:
    """Return ``a.b: value`` for each parameter of a stage, after the name of its file unless that is params.yaml."""
    return [
        f"{'' if file == 'params.yaml' else f'{file}: '}{line}"
        for file, values in stage.get("params", {}).items()
        for line in flatten(values)
    ]


def flatten(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield ``a.b: value`` for every leaf of nested parameters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield f"{prefix}: {value}"

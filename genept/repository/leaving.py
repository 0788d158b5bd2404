"""Datasets and models that left the grid: entries of ``dvc.lock`` that no stage has any more, and their outputs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from genept.core import files
from genept.core.config import check_name
from genept.core.errors import ParamsError
from genept.repository.lock import is_within
from genept.repository.tracked import open_repository

PIPELINE, LOCK = Path("dvc.yaml"), Path("dvc.lock")
CHECKPOINTS = Path("data/cache/embed")  # a folder for each dataset, in it one for each model


def clean(grid: Collection[str], names: Collection[str], only_say: bool = False) -> list[str]:
    """Remove all entries that no stage of the grid has, their outputs, and what dvc.yaml names of further `names`.

    Return what was removed; with `only_say`, what would be. What a stage of the grid reads or writes stays, whatever
    holds it.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    for name in names:
        check_name(name, "clean")
    if in_use := [name for name in names if name in grid]:
        raise ParamsError(f"params.yaml: grid: {in_use[0]!r} is in the grid; take it out first")
    with open_repository() as repo, repo.lock:
        stages = repo.index.stages
        known = {stage.addressing for stage in stages}
        outs, deps = (
            {os.path.relpath(one.fs_path, repo.root_dir) for stage in stages for one in getattr(stage, kind)}
            for kind in ("outs", "deps")
        )
        lock = load_yaml(LOCK.as_posix()) if LOCK.exists() else {}
        entries = lock.get("stages", {})
        gone = {name: entries.pop(name) for name in [*entries] if name not in known}
        outputs = {out["path"] for entry in gone.values() for out in entry.get("outs", [])}
        outputs |= {path for name in names for path in outputs_of(name)}
        outputs |= {path.as_posix() for path in CHECKPOINTS.glob("*") if path.name not in grid}
        outputs |= {
            path.as_posix() for path in CHECKPOINTS.glob("*/*") if path.name not in grid and path.parent.name in grid
        }
        removed = [path for path in sorted(outputs) if Path(path).exists() and not is_needed(path, outs, deps)]
        if not only_say:
            for path in removed:
                remove(Path(path))
            if gone:
                with files.replacing(LOCK) as temporary:
                    dump_yaml(temporary.as_posix(), lock)
    return [*(f"{LOCK}: {name}" for name in gone), *removed]


def outputs_of(name: str) -> Iterator[str]:
    """Yield the outputs of a dataset or model that are there, by the patterns of ``dvc.yaml``.

    The folder of a model with code of its own may hold the user's weights, and is left out. So is what git tracks in
    the place of an output that DVC keeps.
    """
    for stage in yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"].values():
        patterns = [out for key in ("outs", "metrics", "plots") for out in stage.get(key, [])]
        for pattern, config in (next(iter(out.items())) if isinstance(out, dict) else (out, {}) for out in patterns):
            for item in stage.get("matrix", {}):
                own = pattern.replace(f"${{item.{item}}}", name)
                has_code = f"{own}/".startswith(f"models/{name}/") and Path(f"models/{name}.py").exists()
                if own != pattern and not has_code:
                    for other in stage["matrix"]:
                        own = own.replace(f"${{item.{other}}}", "*")
                    of_dvc = config.get("cache", True)
                    yield from (path.as_posix() for path in Path().glob(own) if not (of_dvc and in_git(path)))


def is_needed(path: str, outs: Collection[str], deps: Collection[str]) -> bool:
    """Say whether a path is an output or input of the grid, around one, in an output, or outside the repository."""
    if not Path(path).resolve().is_relative_to(Path.cwd()):
        return True
    return is_within(path, outs) or any(is_within(one, [path]) for one in [*outs, *deps])


def in_git(path: Path) -> bool:
    """Say whether git tracks a file, or something in a folder."""
    command = ["git", "ls-files", "--", os.fspath(path)]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout)


def remove(path: Path) -> None:
    """Remove a file or folder, and the folders around it that are then empty."""
    files.remove(path)
    with contextlib.suppress(OSError):
        for parent in list(path.parents)[:-1]:
            parent.rmdir()

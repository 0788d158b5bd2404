"""What left the grid: entries of ``dvc.lock`` that no stage has any more, and their outputs; and stale parts of cells.

Parts of large datasets stay in ``data/cache`` for the next run. Beside them ``used.json`` lists those of the last run
that finished; the others of its age, or older, are stale.
"""

from __future__ import annotations

import contextlib
import json
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
LABELLED = Path("data/cache/label")  # a folder for each dataset
USED = "used.json"  # a list of names beside it


def clean(grid: Collection[str], names: Collection[str], only_say: bool = False) -> list[str]:
    """Remove all entries that no stage of the grid has, their outputs, and what dvc.yaml names of further `names`.

    So are stale parts of what is in the grid. Return what was removed; with `only_say`, what would be. What a stage of
    the grid reads or writes stays, whatever holds it.
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
        embedded, labelled = files.shared(CHECKPOINTS), files.shared(LABELLED)
        cached = {path for cache in (embedded, labelled) for path in cache.glob("*") if path.name not in grid}
        cached |= {path for path in embedded.glob("*/*") if path.name not in grid and path.parent.name in grid}
        outputs |= {path.as_posix() for path in cached}
        removed = [path for path in sorted(outputs) if Path(path).exists() and not is_needed(path, outs, deps)]
        said = [f"{path}: {amount([Path(path)])}" if Path(path) in cached else path for path in removed]
        stores = [*embedded.glob("*/*/parts"), *labelled.glob("*")]
        found = {store: stale(store) for store in sorted(stores) if not is_within(f"{store}", removed)}
        said += [f"{store}: {amount(paths)} of earlier runs" for store, paths in found.items() if paths]
        if not only_say:
            for path in [*map(Path, removed), *(path for paths in found.values() for path in paths)]:
                remove(path)
            if gone:
                with files.replacing(LOCK) as temporary:
                    dump_yaml(temporary.as_posix(), lock)
    return [*(f"{LOCK}: {name}" for name in gone), *said]


def stale(store: Path) -> list[Path]:
    """Return what is in a folder of parts beside those that ``used.json`` names, and not newer than that file.

    What is newer may be of a run that goes on. Nothing is stale where no run has finished.
    """
    try:
        since, used = (store / USED).stat().st_mtime_ns, json.loads((store / USED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    named = {USED, *used} if isinstance(used, list) else {path.name for path in store.iterdir()}
    others = [path for path in sorted(store.iterdir()) if path.name not in named]
    return [
        path
        for path in others
        if not path.name.startswith(files.WRITING)
        and max(one.lstat().st_mtime_ns for one in (path, *path.rglob("*"))) <= since
    ]


def amount(paths: Collection[Path]) -> str:
    """Return how many files there are in files and folders, and their size."""
    sizes = [one.lstat().st_size for path in paths for one in (path, *path.rglob("*")) if not one.is_dir()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:,.1f} MB"


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

"""``dvc.lock``: what each stage read and wrote, with hashes. What is on the disk now does not matter here."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from genept.core.config import explain, read_yaml
from genept.core.errors import InputError

LOCK = Path("dvc.lock")
SHAPE = ConfigDict(extra="allow", strict=True)


@with_config(SHAPE)
class LockedFile(TypedDict):
    """A file or folder; the hash of a folder ends in ``.dir``."""

    path: str
    md5: str


@with_config(SHAPE)
class LockedStage(TypedDict):
    """A stage: its command, parameters by their file, inputs and outputs."""

    cmd: str
    params: NotRequired[dict[str, dict[str, Any]]]
    deps: NotRequired[list[LockedFile]]
    outs: NotRequired[list[LockedFile]]


Lock = Mapping[str, LockedStage]  # stages by name
STAGES = TypeAdapter(dict[str, LockedStage])


class Recorded(NamedTuple):
    """What a stage recorded of a path that it wrote (`is_out`) or read."""

    path: str
    md5: str
    stage: str
    is_out: bool


def read() -> Lock:
    """Read ``dvc.lock`` of the working folder, by name: DVC's order is that of changes. Nothing where there is none.

    `InputError` if it is no lock: something is missing or not what it should be, a path leads out of the repository,
    or stages need each other.
    """
    if not LOCK.exists():
        return {}
    restore = f"restore it with `git checkout {LOCK}`"
    try:
        lock = STAGES.validate_python(read_yaml(LOCK).get("stages"))
    except ValidationError as error:
        raise InputError(f"{LOCK}: stages: {explain(error)}; {restore}") from None
    except InputError as error:
        raise InputError(f"{error.message}; {restore}") from None
    for one in recorded(lock):
        if one.is_out and (Path(one.path).is_absolute() or ".." in Path(one.path).parts):  # an input may be anywhere
            raise InputError(f"{LOCK}: {one.stage}: {one.path} is outside of the repository; {restore}")
    made_by = outputs(lock)
    needs = {one.stage: set[str]() for one in recorded(lock)}
    for one in recorded(lock):
        needs[one.stage] |= set() if one.is_out or one.path not in made_by else {made_by[one.path]}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        raise InputError(f"{LOCK}: stages need each other: {' <- '.join(error.args[1])}; {restore}") from None
    return dict(sorted(lock.items()))


def outputs(lock: Lock) -> dict[str, str]:
    """Return the stage that made each output."""
    return {out["path"]: name for name, stage in lock.items() for out in stage.get("outs", [])}


def recorded(lock: Lock) -> list[Recorded]:
    """Return all that the stages recorded, outputs first."""
    outs = [Recorded(o["path"], o["md5"], name, True) for name, stage in lock.items() for o in stage.get("outs", [])]
    deps = [Recorded(d["path"], d["md5"], name, False) for name, stage in lock.items() for d in stage.get("deps", [])]
    return outs + deps


def is_within(path: str, places: Iterable[str]) -> bool:
    """Say whether a path is one of some places, or in one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)

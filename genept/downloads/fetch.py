"""Fetching: the files of some sources into one folder, all or none; each from the store of downloads if it is there.

A file's sha256 is that of its settings, or of ``data/hashes.lock.yaml``, where first downloads without one are
recorded. With a sha256 known and the file in the store, no host is asked.

A file with several places comes from the first that has it. A place is passed over only if it was reached and does not
have the file; any other failure (no network, a refusal, a wrong hash, a damaged archive) stops, or else the result
would depend on the weather. What has come before a failure stays in the store, and the folder stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from genept.core import files
from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads import archive, zipped
from genept.downloads.config import File, Source, files_of
from genept.downloads.hosts.local import Local
from genept.downloads.own_files import link_own_files
from genept.downloads.place import Place
from genept.downloads.store import LOCK, Store, locked, read_lock

ATTEMPTS, FALLBACK = "attempts.json", "fallback.json"
STORED = "from the store of downloads"


def fetch(
    where: str,
    sources: Iterable[Source],
    folder: Path,
    notes: Mapping[str, Any] | None = None,
    links: Path | None = None,
) -> None:
    """Put the files of some sources into a folder; a second process that does the same waits for the first.

    Parameters
    ----------
    where
        The settings file without its suffix, such as ``data/covid``: for messages and as key of the lock.
    folder
        Replaced as a whole; it stays as it was if anything goes wrong. If a file has several places, its
        ``attempts.json`` says of each whether the file is from there.
    notes
        Contents of further JSON files by their names.
    links
        A folder for links to the user's own files, by which DVC sees that these change.

    Raises
    ------
    InputError
        `NotFoundAtSource` if a file that is not optional is in none of its places; or if a file cannot be had for
        another reason, or is not the one that its sha256 names.
    """
    store = Store()
    with locked(store.partial, str(folder.absolute()), str(folder)):
        fetch_into(Fetcher(where, store, folder), files_of(sources), notes or {}, links)


def fetch_into(fetcher: Fetcher, wanted: Mapping[str, File], notes: Mapping[str, Any], links: Path | None) -> None:
    """Do the work of `fetch`."""
    folder = fetcher.folder
    attempts: dict[str, list[dict[str, str]]] = {}
    found = fetcher.get({t: f.places[0] for t, f in wanted.items() if len(f.places) == 1 and not f.optional})
    for target, file in wanted.items():
        if target not in found:
            sha256, tried = fetcher.get_first(target, file)
            found |= {} if sha256 is None else {target: sha256}
            attempts |= {target: tried} if len(file.places) > 1 else {}
    with files.replacing_folder(folder) as new:
        for target in [target for target in wanted if target in found]:
            fetcher.store.place(found[target], new / target)
            size = (new / target).stat().st_size / 1e6
            click.echo(f"{folder / target}: {size:.1f} MB, {fetcher.origins[target]}")
        for name, content in {**({ATTEMPTS: attempts} if attempts else {}), **notes}.items():
            files.write_json(new / name, content)
    if links:
        link_own_files(wanted, found, fetcher.store, links)


def fetch_with_fallback(
    where: str,
    sources: Iterable[Source],
    fallback: Iterable[Source] | None,
    folder: Path,
    links: Path | None = None,
) -> None:
    """Put the files of a dataset into a folder, or those of its ``fallback`` if one of the first is not at its source.

    Then ``fallback.json`` in the folder says so, with ``because``: by it the stages that read the files know.
    """
    try:
        return fetch(where, sources, folder, links=links)
    except NotFoundAtSource as error:
        if fallback is None:
            raise
        reason = error.reason
        click.echo(f"{where}: {error.message}; its fallback takes its place")
    return fetch(f"{where}.fallback", fallback, folder, {FALLBACK: {"because": reason}}, links)


class WrongHash(InputError):
    """A file has another sha256 than it must have."""


class Fetcher:
    """Gets files into the store, and keeps the lock; `origins` says where each file came from in this run."""

    def __init__(self, where: str, store: Store, folder: Path) -> None:
        self.where, self.store, self.folder = where, store, folder
        self.lock = read_lock()
        self.origins: dict[str, str] = {}

    def get(self, places: Mapping[str, Place]) -> dict[str, str]:
        """Get files that have one place each; an archive is downloaded once. Return the sha256 of each by its name."""
        found: dict[str, str] = {}
        groups: dict[tuple[bool, Place], dict[str, Place]] = {}
        for target, place in places.items():
            if isinstance(place, Local):
                found[target] = self.get_local(target, place)
            elif sha256 := self.stored(target, place):
                found[target] = sha256
            else:
                groups.setdefault((bool(place.archive), place.archive or place), {})[target] = place
        for (is_archive, source), group in groups.items():
            with locked(self.store.partial, source.words, source.words) as waited:
                if waited:  # for a process that may have brought them
                    self.lock = read_lock()
                    found |= {target: sha for target, place in group.items() if (sha := self.stored(target, place))}
                    group = {target: place for target, place in group.items() if target not in found}
                if group:
                    found |= self.get_members(source, group) if is_archive else self.get_file(source, group)
        return found

    def stored(self, target: str, place: Place) -> str | None:
        """Return the sha256 of a file if it is known and the file is in the store, or here since `dvc pull`."""
        sha256 = place.sha256 or self.recorded(self.key(target))
        if sha256 is None or not self.store.has(sha256):
            present = self.folder / target
            if sha256 is None or not present.is_file() or files.sha256(present) != sha256:
                return None
            self.store.add_copy(present)
        self.origins[target] = STORED
        return sha256

    def get_file(self, source: Place, group: Mapping[str, Place]) -> dict[str, str]:
        """Download a file that is no member of an archive."""
        path, sha256 = source.get(self.store, source.sha256 or self.recorded(self.key(next(iter(group)))))
        self.store.add(path, sha256)
        return self.accept(dict.fromkeys(group, sha256), group)

    def get_first(self, target: str, file: File) -> tuple[str | None, list[dict[str, str]]]:
        """Get a file from the first of its places that has it.

        Return its sha256, None if it is optional and nowhere, and of each place ``kind``, ``where`` and ``outcome``
        (``used`` or ``not there``), the same on every machine.
        """
        known = self.lock.get(self.key(target))
        settled = known and known.place in [p.words for p in file.places] and self.store.has(known.sha256)
        attempts: list[dict[str, str]] = []
        messages: list[str] = []
        for place in file.places:
            attempts.append({"kind": place.kind, "where": place.words, "outcome": "not there"})
            if known and settled and not isinstance(place, Local) and place.words != known.place:
                continue  # it was not there when the file came from a later place
            try:
                sha256 = self.get({target: place})[target]
            except NotFoundAtSource as error:
                messages.append(error.message)
                advice = f"; to get it: {' '.join(place.where.split())}" if place.where else ""
                click.echo(f"{self.where}: {target} ({place.words}): {error.reason}{advice}")
                continue
            attempts[-1]["outcome"] = "used"
            now = self.lock.get(self.key(target))
            if len(file.places) > 1 and (now is None or now.place != place.words):
                self.record(self.key(target), sha256, place.words)
            return sha256, attempts
        if known:
            raise InputError(
                f"{self.where}: {target} is no longer at its source, but {LOCK} has it since {known.date}; "
                f"{self.advise_without(target)}"
            )
        if file.optional:
            return None, attempts
        listed = " ".join(f"({number}) {message}" for number, message in enumerate(messages, 1))
        reason = f"in none of {len(messages)} places"
        raise NotFoundAtSource(
            f"{self.where}: {target} is {reason}, add another one, or `optional: true`: {listed}", reason
        )

    def get_local(self, target: str, place: Local) -> str:
        """Copy a file of this machine into the store; one that the lock knows must be had, on the disk or there."""
        key, path = self.key(target), place.file
        known = self.lock.get(key)
        if path.is_dir() and not target.endswith(zipped.ENDING):
            raise InputError(
                f"{path.absolute()}: is a folder, not a file; correct the path of {target}, or name a zarr store "
                "raw.zarr.zip and a folder with matrix.mtx raw.mtx.zip under source.files"
            )
        place.refuse_endless()
        if path.is_file() or path.is_dir():
            sha256 = self.store.add_folder(path) if path.is_dir() else files.sha256(path)
            if not self.store.has(sha256):
                sha256 = self.store.add_copy(path)
            self.origins[target] = f"copied from {path}"
            if place.sha256:
                self.check(key, sha256, place.sha256)
            if not place.in_git and not (known and known.sha256 == sha256):
                self.record(key, sha256)
                before = f"; it has changed since {known.date}" if known else ""
                click.echo(f"{path}: sha256 recorded in {LOCK}{before}; commit that file")
            return sha256
        if not known or known.place not in (None, place.words):
            raise NotFoundAtSource(place.explain(), "no such file")
        sha256 = self.stored(target, place) or ""
        if not sha256:
            raise InputError(
                f"{path}: no such file, but {LOCK} has it since {known.date}; put it there (in an experiment: "
                f"`dvc exp run --temp --copy-paths {Path(*path.parts[:3])}`), or {self.advise_without(target)}"
            )
        click.echo(f"{path}: no such file; its copy in the store is used; {self.advise_without(target)}")
        self.origins[target] = STORED
        return sha256

    def advise_without(self, target: str) -> str:
        """Say how to go on without a file that the lock has."""
        return f"to go on without it, remove the lines of {self.key(target)} from {LOCK}"

    def get_members(self, source: Place, members: Mapping[str, Place]) -> dict[str, str]:
        """Get members of one archive, which is hashed before it is opened and must be the first one."""
        key = f"{self.where}/archive of {source.words}"
        sha256 = source.sha256 or (self.recorded(key) if source.stores_archive else None)
        if not sha256 or not self.store.has(sha256):
            path, sha256 = source.get(self.store, sha256)
            self.store.add(path, sha256)
        stored = self.store.path(sha256)
        with files.writing(self.store.partial) as folder:
            paths = {target: folder / str(number) for number, target in enumerate(members)}
            try:
                self.check(key, sha256, source.sha256)
                names = {paths[target]: str(place.model_dump()["member"]) for target, place in members.items()}
                archive.extract(stored, source.title, names)
                found = {target: files.sha256(path) for target, path in paths.items()}
                for target, path in paths.items():
                    self.store.add(path, found[target])
                self.accept(found, members)
            except (archive.Damaged, WrongHash):
                stored.unlink(missing_ok=True)
                raise
        if not source.stores_archive:
            stored.unlink(missing_ok=True)
        elif not source.sha256 and not self.recorded(key):
            self.record(key, sha256)
        return found

    def accept(self, found: dict[str, str], places: Mapping[str, Place]) -> dict[str, str]:
        """Check files that came just now, record those that are the first, and return them."""
        for target, sha256 in found.items():
            self.check(self.key(target), sha256, places[target].sha256)
        for target, sha256 in found.items():
            self.origins[target] = f"downloaded ({places[target].words})"
            if not places[target].sha256 and not self.recorded(self.key(target)):
                self.record(self.key(target), sha256)
                click.echo(f"{self.where}: first download of {target}: sha256 recorded in {LOCK}; commit that file")
        return found

    def check(self, key: str, sha256: str, stated: str | None) -> None:
        """Compare a file with the sha256 that the settings state, or with the lock if they state none."""
        first = self.lock.get(key)
        if stated and stated != sha256:
            raise WrongHash(
                f"{key} has sha256 {sha256}, but the settings expect {stated}; it is another version or was altered"
            )
        if not stated and first and first.sha256 != sha256:
            raise WrongHash(
                f"{key} is not that of the first download, {first.date}: sha256 {sha256}, was {first.sha256}; if its "
                f"source changed and you trust the new file, delete the lines of {key} in {LOCK} and run again"
            )

    def key(self, target: str) -> str:
        """Return the key of a file in the lock."""
        return f"{self.where}/{target}"

    def recorded(self, key: str) -> str | None:
        """Return the sha256 that the lock has for a file or archive."""
        return self.lock[key].sha256 if key in self.lock else None

    def record(self, key: str, sha256: str, place: str | None = None) -> None:
        """Add a file or archive of the store to the lock."""
        self.lock = self.store.record(key, sha256, place)

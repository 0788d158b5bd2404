"""The store of downloads: every file once, named by its sha256, so that nothing is downloaded twice; and the lock.

It lies beside DVC's cache (``.dvc/downloads``; ``GENEPT_DOWNLOADS`` names another folder). ``dvc exp run --temp`` works
in a checkout whose configuration names the cache of the main repository, and so finds the same store. Files go into
place by a hard link, or by a copy where that is impossible. A file is hashed whenever it is used; a damaged one is
dropped. The folder may be removed at any time: what is needed is then downloaded again.

The lock, ``data/hashes.lock.yaml``, has the sha256 of first downloads, where the settings name none, and of the user's
own files. Keys are ``<settings file without .yaml>/<file>``, and for an archive without ``archive_sha256``
``<...>/archive of <place>``. The file is to be committed: then everyone who runs the repository gets the file that the
first one got, or an error. A sha256 in the settings goes before it.
"""

from __future__ import annotations

import configparser
import contextlib
import datetime
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import click
import filelock
import yaml
from pydantic import StringConstraints, TypeAdapter, ValidationError

from genept.core import files
from genept.core.config import Config, explain
from genept.core.errors import InputError
from genept.downloads import zipped

LOCK = Path("data/hashes.lock.yaml")
HEADING = (
    "# First downloads of files without a sha256 in the settings, and your own files. Written by fetch; commit it."
)
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$", to_lower=True)]


@dataclass(frozen=True)
class Remote:
    """A file on the web, as a host names it."""

    urls: tuple[str, ...]  # of the same file, tried in order
    stated: tuple[str, str] | None = None  # algorithm and digits of the hash that the service states
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of the request, such as a token
    name: str | None = None  # the same in every run, for an address whose signature is another one in every run
    refused: tuple[str, str] | None = None  # what a refusal (status 400, 401 or 403) means, and what to do


def default_folder() -> Path:
    """Return the folder of the store: beside the cache that the repository's configuration of DVC names."""
    if named := os.environ.get("GENEPT_DOWNLOADS"):
        return Path(named).expanduser()
    config = configparser.ConfigParser(interpolation=None, strict=False)  # to import dvc's own reader takes 0.5 s
    config.read([".dvc/config", ".dvc/config.local"], encoding="utf-8")
    cache = config.get("cache", "dir", fallback="cache").strip("'\"")
    return Path(".dvc", cache).parent / "downloads"


@contextlib.contextmanager
def locked(folder: Path, key: str, what: str = "") -> Iterator[bool]:
    """Let one process at a time do something; say whether there was another to wait for.

    The lock is a file in `folder` that the operating system holds, so that a killed process leaves it free.

    Parameters
    ----------
    what
        Printed when a wait begins; of a wait for an instant nothing is.
    """
    lock = filelock.FileLock(folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock")
    waited = False
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waited = True
            if what:
                click.echo(f"{what}: another process fetches it; waiting until that is done")
            lock.acquire()
    except NotImplementedError:  # a network drive may have no locks
        raise InputError(
            f"{folder}: no locks on this drive; name a folder on another one by GENEPT_DOWNLOADS"
        ) from None
    try:
        yield waited
    finally:
        lock.release()


class Store:
    """Files by their sha256 in `folder`, and the unfinished downloads of all hosts in `partial`."""

    def __init__(self) -> None:
        self.folder = default_folder()
        self.partial = self.folder / "partial"
        self.partial.mkdir(parents=True, exist_ok=True)
        files.sweep(self.partial)
        self.listings: dict[Any, Any] = {}

    def path(self, sha256: str) -> Path:
        """Return where a file is, or would be."""
        return self.folder / sha256

    def has(self, sha256: str) -> bool:
        """Say whether a file is there, and whole; a damaged one is dropped."""
        path = self.path(sha256)
        if not path.is_file():
            return False
        if files.sha256(path) == sha256:
            return True
        click.echo(f"{path}: damaged, so it is dropped")
        path.unlink(missing_ok=True)
        return False

    def add(self, path: Path, sha256: str) -> None:
        """Move a file with that hash into the store."""
        path.chmod(0o444)  # the files in place are the same ones: who writes to one should have to replace it
        path.replace(self.path(sha256))

    def add_copy(self, path: Path) -> str:
        """Copy a file that stays where it is, and return its sha256."""
        with files.writing(self.partial) as folder:
            copied = folder / "file"
            shutil.copyfile(path, copied)
            sha256 = files.sha256(copied)
            self.add(copied, sha256)
        return sha256

    def add_folder(self, path: Path) -> str:
        """Add a zip of a folder that stays where it is, and return its sha256."""
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=self.partial) as temporary:
            written = Path(temporary) / "file"
            zipped.write(path, written)
            sha256 = files.sha256(written)
            self.add(written, sha256)
        return sha256

    def place(self, sha256: str, target: Path) -> None:
        """Put a file into its place."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.path(sha256), target)
        except OSError:  # another file system, or too many links
            shutil.copyfile(self.path(sha256), target)

    def record(self, key: str, sha256: str, place: str | None = None) -> dict[str, Record]:
        """Add or replace a record in the lock of hashes and return all, also those of other processes.

        They are sorted, so that two branches that add files seldom conflict.
        """
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        with locked(self.partial, str(LOCK.absolute())):
            size = self.path(sha256).stat().st_size
            records = {**read_lock(), key: Record(sha256=sha256, size=size, date=today, place=place)}
            write_lock(records)
        return records

    def forget_unnamed(self, only_say: bool = False) -> list[str]:
        """Remove the records of datasets and models whose settings file is gone, and return their keys."""
        with locked(self.partial, str(LOCK.absolute())):
            records = read_lock()
            settings = {key: "/".join(key.split("/")[:2]).removesuffix(".fallback") for key in records}
            gone = [key for key, name in settings.items() if not Path(f"{name}.yaml").exists()]
            if gone and not only_say:
                write_lock({key: record for key, record in records.items() if key not in gone})
        return gone

    def listing(self, key: Any, ask: Callable[[], Any]) -> Any:
        """Return what a service lists, asking it once in a run."""
        if key not in self.listings:
            self.listings[key] = ask()
        return self.listings[key]


class Record(Config):
    """A file of the lock; ``place`` is which of several places it came from."""

    sha256: Sha256
    size: int
    date: str
    place: str | None = None


RECORDS = TypeAdapter(dict[str, Record])


def write_lock(records: Mapping[str, Record]) -> None:
    """Replace the lock of hashes."""
    content = {key: record.model_dump(exclude_none=True) for key, record in records.items()}
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True, width=1000)
    with files.replacing(LOCK) as temporary:
        temporary.write_text(f"{HEADING}\n{text}", encoding="utf-8")


def read_lock() -> dict[str, Record]:
    """Return the records by their keys; none if there is no lock yet.

    A damaged lock raises `InputError`: read as an empty one, it would accept any file.
    """
    if not LOCK.exists():
        return {}
    try:
        content = yaml.safe_load(files.require_file(LOCK).read_text(encoding="utf-8"))
        return RECORDS.validate_python({} if content is None else content)
    except (yaml.YAMLError, ValueError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise InputError(f"{LOCK}: {reason}; restore it with `git checkout {LOCK}`") from None

"""``kind: local``. Files on this machine: ``path``, from the source's ``folder`` if it names one.

Relative paths start at the repository. ``where`` says how a user gets a file by hand; the error prints it while the
file is missing. Files under ``data/markers`` are in git; the sha256 of all others goes to ``data/hashes.lock.yaml``.
`genept.downloads.own_files` lets DVC see that a file has changed.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Literal

from pydantic import field_validator

from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.place import Place
from genept.downloads.store import Store

IN_GIT = Path("data/markers")


class Local(Place):
    """A file on this machine."""

    kind: Literal["local"]
    path: str
    folder: str | None = None

    @field_validator("path", "folder")
    @classmethod
    def check_home(cls, path: str | None) -> str | None:
        """Refuse the home of a user who is not on this machine."""
        try:
            Path(path or "").expanduser()
        except RuntimeError:
            raise ValueError(f"{path!r}: no such user's home on this machine") from None
        return path

    @property
    def file(self) -> Path:
        """Where the file is expected; a tilde is the user's home."""
        return Path(self.folder or "").expanduser() / Path(self.path).expanduser()

    @property
    def in_git(self) -> bool:
        """Whether git has the file."""
        return self.file.absolute().is_relative_to(IN_GIT.absolute())

    @property
    def words(self) -> str:
        """Where the file is; of a path that is another one on every machine, the name."""
        path = PurePath(self.folder or "") / self.path
        return f"local {f'.../{path.name}' if path.is_absolute() or self.path.startswith('~') else path.as_posix()}"

    def probe(self, store: Store) -> int | None:
        """See `Place.probe`."""
        self.refuse_endless()
        if not self.file.exists():
            raise NotFoundAtSource(self.explain(), "no such file")
        if self.file.is_dir():  # a zarr store, or the files of a matrix
            return sum(path.stat().st_size for path in self.file.rglob("*") if path.is_file())
        return self.file.stat().st_size

    def refuse_endless(self) -> None:
        """Refuse a pipe or device at once, since reading one may never end."""
        if self.file.exists() and not self.file.is_file() and not self.file.is_dir():
            raise InputError(f"{self.file.absolute()}: is a pipe or a device, not a file; correct its path")

    def explain(self) -> str:
        """Say in one line that the file is not there, and where to get it if the settings say so."""
        file = self.file.absolute()
        way = f"to get it: {' '.join(self.where.split()).rstrip('.')}. Then put" if self.where else "put"
        return f"{file}: no such file; {way} it there, or correct its path in the settings"

"""What all kinds of places have: one class per host in ``hosts/`` derives from `Place`, and says how to get a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, field_validator

from genept.core.config import Config
from genept.core.errors import InputError, NotFoundAtSource, hide_secrets, nearest, printable
from genept.downloads.store import Remote, Sha256, Store

Number = int | str  # of a record or an article
T = TypeVar("T")


def check_address(url: str) -> str:
    """Refuse what is no address of a file on the web; for pydantic."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{re.sub('//.*@', '//***@', url.partition('?')[0])!r} is no http or https address of a file")
    return url


Address = Annotated[str, AfterValidator(check_address)]


class Place(Config):
    """One place of one file: the keys of its source and its own, checked against the class of its host."""

    stores_archive: ClassVar[bool] = True  # whether an archive stays in the store beside its members

    kind: str
    sha256: Sha256 | None = None
    where: str | None = None  # how to get the file by hand, for the error while it is missing

    @field_validator("*", mode="before")
    @classmethod
    def refuse_secrets(cls, value: Any) -> Any:
        """Refuse an address with a login or a token: DVC writes it into ``dvc.lock``, and records and messages too."""
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and (plain := unquote(text)) != (hidden := hide_secrets(plain)):
                raise ValueError(
                    f"{hidden!r} has a login or a token in it, which would be written into dvc.lock; remove it, and "
                    "put user and password into ~/.netrc, or get the file by hand and use `kind: local`"
                )
        return value

    @property
    def archive(self) -> Self | None:
        """The place of the archive that the file is a member of, equal for all its members; None without ``member``."""
        return None

    @property
    def title(self) -> str:
        """The name of the file, or of the archive, at its source."""
        values = self.model_dump()
        path = values.get("name") or values.get("path") or urlsplit(values.get("url") or "").path
        return printable(PurePosixPath(unquote(path)).name)

    @property
    def words(self) -> str:
        """Where the file is, the same on every machine: the values of its keys but hashes, advice and mirrors."""
        hidden = {"kind", "sha256", "archive_sha256", "md5", "where", "mirrors", "member"}
        values = [*self.model_dump(exclude_none=True, exclude=hidden).values(), getattr(self, "member", None)]
        return " ".join([self.kind, *(str(value) for value in values if value)])

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """Download the file, or its archive; return where it lies, to be moved away, and its sha256.

        Parameters
        ----------
        store
            Its ``partial`` folder is for unfinished downloads.
        sha256
            What the file or archive must have, if that is known.

        Raises
        ------
        InputError
            `NotFoundAtSource` if the host was reached and does not have it; or if it cannot be had for another reason.
        """
        raise NotImplementedError

    def probe(self, store: Store) -> int | None:
        """Ask whether the file, or its archive, is there; return its size in bytes if the host says it.

        Downloads nothing but lists of files. Errors are those of `get`.
        """
        raise NotImplementedError


class WebPlace(Place):
    """A place on the web: a file, or an archive (tar, zip, gz) of which the file is the ``member``."""

    member: str | None = None
    archive_sha256: Sha256 | None = None

    @property
    def archive(self) -> Self | None:
        """See `Place.archive`."""
        if self.member is None:
            return None
        return self.model_copy(update={"sha256": self.archive_sha256, "member": None, "where": None})

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        raise NotImplementedError

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """See `Place.get`."""
        from genept.downloads.transfer import download

        return download(self.remote(store), store.partial, sha256)

    def probe(self, store: Store) -> int | None:
        """See `Place.probe`."""
        from genept.downloads.transfer import size

        return size(self.remote(store))


def pick(listed: Mapping[str, T], name: str, what: str) -> T:
    """Return what a service lists under a file name; `NotFoundAtSource` names what there is in its place."""
    if name in listed:
        return listed[name]
    names, none = sorted(map(printable, listed)), f"{what} has no file {name!r}"
    if not names:
        raise InputError(f"{none}; it lists no files; it may be empty, or not shared with everyone")
    more = f", and {len(names) - 5} more" if len(names) > 5 else ""
    raise NotFoundAtSource(f"{none}{nearest(name, names)}; it has {', '.join(names[:5])}{more}", none)


def read_listing(url: str, remotes: Callable[[Any], Iterable[tuple[str, Remote]]], what: str) -> dict[str, Remote]:
    """Ask a service by JSON for its files, by their names; `remotes` reads the answer."""
    from genept.downloads.web import read_json

    answer = read_json(url)
    try:
        listed = dict(remotes(answer))
        for url in (url for remote in listed.values() for url in remote.urls):
            check_address(url)
        if not all(isinstance(name, str) for name in listed):
            raise TypeError
        return listed
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{what}: its list of files is not as expected; use `kind: http`") from None

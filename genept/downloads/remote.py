"""What the kinds share whose files come over HTTP: all are downloaded first, then put in place or unpacked."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genept.core.errors import Absent, InputError, nearest
from genept.downloads import required
from genept.downloads.address import Signed
from genept.downloads.archive import Damaged, take
from genept.downloads.archives import compared
from genept.downloads.download import downloaded


@dataclass(frozen=True)
class Remote:
    """A file elsewhere.

    Attributes
    ----------
    urls
        Its address, then mirrors.
    name
        Its name there.
    stated
        What the service states of it: hexadecimal digits, or its size, by the name of the algorithm.
    headers
        Further request headers, such as a token.
    signed
        If its address is another one in every run.
    """

    urls: tuple[str, ...]
    name: str
    stated: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    signed: Signed | None = None


def get(source: dict[str, Any], folder: Path, remotes: Mapping[str, Remote]) -> None:
    """Download the files of a source into `folder`.

    A file whose entry names a ``member`` is taken out of the archive that comes; an archive is downloaded once for all
    its members, and hashed before it is opened: it must have the entry's ``archive_sha256``, or else that of the first
    download. A file that has come whole stays
    in ``data/.partial/`` while another fails, so the next run does not download it again.

    Parameters
    ----------
    source
        The entry's source.
    folder
        Where the files go.
    remotes
        Where each file of the source, or the archive that it is in, comes from.

    Raises
    ------
    InputError
        If one cannot be had or unpacked, or an archive is not the one that came first.
    """
    items = source["files"]
    targets: dict[Remote, list[str]] = {}
    for target, remote in remotes.items():
        targets.setdefault(remote, []).append(target)
    with contextlib.ExitStack() as stack:
        paths = {
            remote: stack.enter_context(
                downloaded(
                    remote.urls,
                    headers=dict(remote.headers),
                    hashes=hashes(remote, [items[name] for name in names]),
                    signed=remote.signed,
                )
            )
            for remote, names in targets.items()
        }
        for remote, names in targets.items():
            by_member = [name for name in names if "member" in items[name]]
            members = {folder / name: str(items[name]["member"]) for name in by_member}
            if members:
                known = stated_in([items[name] for name in names]) is not None
                with contextlib.nullcontext() if known else compared(source, by_member[0], paths[remote]):
                    unpack(paths[remote], remote.name, members)
        for remote, names in targets.items():
            plain = [folder / name for name in names if "member" not in items[name]]
            for copied in plain[1:]:
                shutil.copyfile(paths[remote], copied)
            if plain:
                shutil.move(paths[remote], plain[0])


def unpack(archive: Path, name: str, members: Mapping[Path, str]) -> None:
    """Take members out of an archive, and remove it if it is damaged, so that it comes anew."""
    try:
        take(archive, name, members)
    except Damaged:
        archive.unlink()
        raise


def hashes(remote: Remote, items: list[dict[str, Any]]) -> dict[str, str]:
    """Return the hashes that a download must have: the entry's, of the file or its archive, and the service's."""
    stated = stated_in(items)
    return {**dict(remote.stated), **({"sha256": stated} if stated else {})}


def stated_in(items: list[dict[str, Any]]) -> str | None:
    """Return the sha256 that an entry has for one remote file: that of a file, or of its archive."""
    stated = [item.get("archive_sha256" if "member" in item else "sha256") for item in items]
    return next((str(digits) for digits in stated if digits is not None), None)


def get_listed(source: dict[str, Any], folder: Path, what: str, listing: Callable[[], Mapping[str, Remote]]) -> None:
    """Download the files that a service lists under each one's ``name``, as `get`; `what` is what has the list."""
    names = {target: required(source, "name", target=target)[0] for target in source["files"]}
    listed = listing()
    get(source, folder, {target: pick(listed, name, what) for target, name in names.items()})


def pick(listed: Mapping[str, Any], name: str, what: str) -> Any:
    """Return what a service lists under a file name.

    Raises
    ------
    Absent
        If there is none, with the names that there are.
    InputError
        If nothing is listed.
    """
    if name in listed:
        return listed[name]
    names, none = sorted(map(str, listed)), f"{what} has no file {name!r}"
    if not names:
        raise InputError(f"{none}; it lists no files; they may be restricted")
    more = f", and {len(names) - 5} more" if len(names) > 5 else ""
    raise Absent(f"{none}{nearest(name, names)}; it has {', '.join(names[:5])}{more}", none)

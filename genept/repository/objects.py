"""All that ``dvc.lock`` records: files of this machine, and the objects of DVC's cache and of a remote."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genept.core.errors import InputError, ParamsError
from genept.repository.lock import Lock, Recorded, recorded
from genept.repository.tracked import (
    CHANGED,
    MISSING,
    Files,
    Problem,
    compare,
    hash_all,
    is_asked,
    join,
    listing_in,
    one_line,
    open_repository,
    touching,
    unknown,
)


class Checked(NamedTuple):
    """What was hashed at a place, such as the cache, and what is wrong there."""

    place: str
    n_hashed: int
    problems: list[Problem]


def verify(lock: Lock, asked: Collection[str], remote: str | None) -> list[Checked]:
    """Compare everything, or what is at or in the paths `asked` for, with the lock: files, cache and a remote.

    Only stages of the grid count. `ParamsError` for a path that none of them reads or writes, `InputError` if a remote
    is not configured or cannot be read.
    """
    with open_repository() as repo:
        outs = {os.path.relpath(out.fs_path, repo.root_dir): out for out in repo.index.outs}
        names = {stage.addressing for stage in repo.index.stages}
        odbs = {"cache": repo.cache.local}
        if remote:
            odbs[f"remote {remote}"] = repo.cloud.get_remote_odb(remote, "verify")
        records = touching((one for one in recorded(lock) if one.stage in names), asked)
        for path in asked:
            if not touching(records, [path]):
                raise ParamsError(f"{path}: no stage of the grid reads or writes it; see `dvc stage list`")
        files = Files(repo, (one.path for one in records))
        known = {one.path for one in records if one.is_out}
        never = [Problem(MISSING, path, out.stage.addressing) for path, out in outs.items() if path not in known]
        found = {one.path: one for one in [*unknown(repo, lock), *never, *compare(files, records)]}
        checked = [Checked("files", len(files.md5), [one for one in found.values() if is_asked(one.path, asked)])]
        cached = [one for one in records if one.is_out and one.path in outs and outs[one.path].use_cache]
        wanted = objects(files, cached, odbs.values())
        wanted = {md5: path for md5, path in wanted.items() if is_asked(path, asked)}
        checked += [Checked(name, len(wanted), compare_objects(odb, wanted, name)) for name, odb in odbs.items()]
    return checked


def objects(files: Files, outs: Iterable[Recorded], odbs: Iterable[Any]) -> dict[str, str]:
    """Return the objects that outputs need: a file's own, a folder's listing and its files'.

    What was in a folder is known from the folder itself if it is as recorded, else from a cache or remote, if one is.
    """
    wanted: dict[str, str] = {}
    for one in outs:
        wanted[one.md5] = one.path
        if one.md5.endswith(".dir"):
            is_same = files.digest(one.path) == one.md5
            known = (listing_in(odb, one.md5) for odb in odbs)
            listing = files.listing(one.path) if is_same else next(filter(None, known), {})
            wanted |= {md5: join(one.path, name) for name, md5 in listing.items()}
    return wanted


def compare_objects(odb: Any, wanted: Mapping[str, str], label: str) -> list[Problem]:
    """Hash the objects of a cache or remote; `InputError` if it cannot be read."""
    paths = {odb.oid_to_path(md5): md5 for md5 in wanted}
    try:
        hashes = hash_all(paths, label, odb.fs)
    except Exception as error:  # noqa: BLE001  # each kind of remote has errors of its own
        raise InputError(f"{label}: cannot be read ({type(error).__name__}: {one_line(error)})") from None
    return [
        Problem(CHANGED if hashes[path] else MISSING, path.removeprefix(f"{Path.cwd()}/"), of=wanted[md5])
        for path, md5 in paths.items()
        if hashes[path] != md5.removesuffix(".dir")
    ]

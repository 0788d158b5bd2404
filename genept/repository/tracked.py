"""Files, DVC's cache and its remotes, compared with what ``dvc.lock`` records.

Everything is hashed anew. DVC asks its state cache first, which takes a file for unchanged whose size and times are,
and takes whatever lies in its cache for what was once put there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genept.core.cli import progress
from genept.core.errors import InputError
from genept.repository.lock import LOCK, Lock, Recorded, is_within, outputs, recorded

if TYPE_CHECKING:
    from dvc.repo import Repo

MISSING, CHANGED, UNKNOWN = "missing", "changed", "unknown"
WORKERS = min(8, os.cpu_count() or 1)  # threads; hashlib lets the others run meanwhile
NAMED = 3  # files that a refusal names


class Problem(NamedTuple):
    """A path that is not as a stage recorded it, or an object (then `of` is the path that it is of).

    `kind` is ``missing``, ``changed`` or ``unknown``: no stage wrote it. `is_input` if the stage only reads it.
    """

    kind: str
    path: str
    stage: str = ""
    is_input: bool = False
    of: str = ""

    @property
    def role(self) -> str:
        """What it is: ``output``, ``input``, ``object`` of a cache or remote, or ``unknown``."""
        return "object" if self.of else UNKNOWN if self.kind == UNKNOWN else "input" if self.is_input else "output"


@contextlib.contextmanager
def open_repository() -> Iterator[Repo]:
    """Open the DVC repository of the working folder; `InputError` if there is none, or its settings are damaged."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(os.curdir) as repo:
            yield repo
    except DvcException as error:
        raise InputError(f"dvc: {one_line(error)}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"dvc: .dvcignore or .dvc/config: {error}; save it as UTF-8") from None


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def hash_all(paths: Iterable[str], label: str, fs: Any = None) -> dict[str, str]:
    """Return the MD5 of files by their paths, several at a time; of one that is gone, or no plain file, "".

    `fs` is DVC's file system of a remote; without it the files are of this machine.
    """
    from dvc_data.hashfile.hash import file_md5
    from dvc_objects.fs import localfs

    fs = fs or localfs

    def one(path: str) -> tuple[str, str]:
        if fs.protocol == localfs.protocol and not Path(path).is_file():  # a pipe would be waited for
            return path, ""
        try:
            return path, file_md5(path, fs)
        except FileNotFoundError:
            return path, ""

    getattr(fs, "fs", None)  # connects here, before several threads would
    todo = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(progress(pool.map(one, todo), label, len(todo), "file"))


class Files:
    """The files of this machine behind some paths, each hashed once.

    `inside` has the files of each path, relative to it, without those that ``.dvcignore`` excludes.
    """

    def __init__(self, repo: Repo, paths: Iterable[str]) -> None:
        self.repo = repo
        self.inside = {path: find(repo, path) for path in dict.fromkeys(paths)}
        names = {join(path, name) for path, some in self.inside.items() for name in some}
        self.md5 = hash_all(sorted(names), "files")

    def listing(self, path: str) -> dict[str, str]:
        """Return the hashes of a folder's files by their paths relative to it."""
        return {name: self.md5[join(path, name)] for name in self.inside[path]}

    def digest(self, path: str) -> str:
        """Return DVC's hash of a file or folder, "" if it is not there."""
        if not Path(path).is_dir():
            return self.md5.get(path, "")
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree()
        for name, md5 in self.listing(path).items():
            tree.add(tuple(name.split("/")), None, HashInfo("md5", md5))
        tree.digest()
        return str(tree.oid)


def find(repo: Repo, path: str) -> list[str]:
    """Return the files in a folder, relative to it; of a file that is there one empty text."""
    if Path(path).is_dir():
        return sorted(
            os.path.relpath(name, path) for name in repo.dvcignore.find(repo.fs, os.fspath(Path.cwd() / path))
        )
    return [""] if os.path.lexists(path) else []


def join(path: str, name: str) -> str:
    """Return the path of what `find` found."""
    return f"{path}/{name}" if name else path


def listing_in(odb: Any, md5: str) -> dict[str, str] | None:
    """Return the hashes of the files in a folder by its hash; None if the cache or remote does not know."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    path = odb.oid_to_path(md5)
    if f"{hash_all([path], 'listing', odb.fs)[path]}.dir" != md5:
        return None
    return {"/".join(parts): str(info.value) for parts, _, info in Tree.load(odb, HashInfo("md5", md5))}


def compare(files: Files, records: Iterable[Recorded]) -> list[Problem]:
    """Compare files with what was recorded: an output folder's one by one, if the cache knows what was in it.

    A folder is not named beside what is wrong in it, nor an input beside the output that it is. Of an output that
    several stages have made, in grids of their own, the record of one is enough.
    """
    records = list(records)
    found: dict[str, Problem] = {}
    same = {one for one in records if files.digest(one.path) == one.md5}
    made = {one.path for one in same if one.is_out}
    for one in records:
        if one in same or (one.is_out and one.path in made) or is_within(one.path, found):
            continue
        before = listing_in(files.repo.cache.local, one.md5) if one.is_out and Path(one.path).is_dir() else None
        kinds = {one.path: CHANGED if files.inside[one.path] else MISSING}
        if before is not None:
            now = files.listing(one.path)
            kinds = {
                join(one.path, name): UNKNOWN if name not in before else CHANGED if name in now else MISSING
                for name in {**before, **now}
                if before.get(name) != now.get(name)
            } or kinds
        elif not one.is_out and any(is_within(name, [one.path]) for name in found):
            continue
        found |= {path: Problem(kind, path, one.stage, not one.is_out) for path, kind in kinds.items()}
    return list(found.values())


def unknown(repo: Repo, lock: Lock) -> list[Problem]:
    """Return the files beside outputs that no stage wrote and that git does not show either.

    Beside an output: in its folder, unless that is ``data``, ``models``, ``metrics`` or ``plots``, or in a folder of
    outputs that a stage reads.
    """
    made_by = outputs(lock)
    places = {Path(path).parent.as_posix() for path in made_by if path.count("/") > 1}
    places |= {one.path for one in recorded(lock) if any(name.startswith(f"{one.path}/") for name in made_by)}
    found = {join(place, name) for place in places for name in find(repo, place) if place != "."}
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True, errors="surrogateescape", check=False).stdout.split(
        "\0"
    )
    return [Problem(UNKNOWN, path) for path in sorted(found - {*listed}) if not is_within(path, made_by)]


def is_asked(path: str, asked: Collection[str]) -> bool:
    """Say whether a path is asked for, lies in what is, or is a folder around it; everything is, if nothing is."""
    return not asked or is_within(path, asked) or any(is_within(one, [path]) for one in asked)


def touching(records: Iterable[Recorded], asked: Collection[str]) -> list[Recorded]:
    """Return the records of what is asked for; those of a folder around it only if that is an output."""
    return [
        one for one in records if is_asked(one.path, asked) and (one.is_out or not asked or is_within(one.path, asked))
    ]


def refuse_changed(records: Iterable[Recorded], paths: Iterable[str]) -> None:
    """Raise `InputError`, in one line, if what is at some paths, or in them, is not as recorded.

    What is not recorded, or not there, passes: whoever reads it says so.
    """
    asked = list(paths)
    records = [one for one in touching(records, asked) if os.path.lexists(one.path)]
    if not records:
        return
    with open_repository() as repo:
        found = compare(Files(repo, (one.path for one in records)), records)
    found = [one for one in found if is_asked(one.path, asked)]
    if found:
        names = ", ".join(f"{one.path} is {one.kind}" for one in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise InputError(f"not as {LOCK} records: {names}{more}; `make verify` says what to do")

"""What killed commands leave: DVC's locks, a half-written ``dvc.lock``, a detached HEAD, an experiment's settings.

``dvc exp run`` stashes the user's changes, takes HEAD off its branch, writes the experiment's settings, and undoes all
of it at its end. The commits that it makes on the way say what it found and what it changed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from genept.core import files
from genept.core.errors import InputError

LOCK = Path("dvc.lock")
COPIES = Path(".dvc/tmp/exps/standalone")  # of the repository, in which `dvc exp run --temp` works
GUARDED = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))
MERGED, QUEUED = "refs/exps/exec/EXEC_MERGE", "refs/exps/stash"  # the settings of an experiment that ran, or would have
STASH = "refs/stash"
PACKED = Path(".dvc/tmp/repro.dat")  # which DVC adds to git's index with the settings
DETACHED = re.compile(r"checkout: moving from (\S+) to [0-9a-f]{40}")
AT_MOST = 600  # seconds between DVC's stash and the settings of the experiment


def running() -> int | None:
    """Return a process of DVC that runs in this folder, None without one."""
    import psutil

    for process in psutil.process_iter():
        try:
            if is_dvc(process.pid) and Path.cwd() in (folder := Path(process.cwd()), *folder.parents):
                return process.pid
        except (psutil.Error, OSError):
            continue
    return None


def is_dvc(pid: int) -> bool:
    """Say whether a process is a command of DVC; it may be another one that got the number of a dead one."""
    import psutil

    try:
        return any(Path(word).name == "dvc" for word in psutil.Process(pid).cmdline()[:3])
    except psutil.Error:
        return False


def free_locks() -> Iterator[str]:
    """Remove locks of DVC that no process of DVC holds, such as an empty file, after which DVC refuses everything.

    DVC changes them under a lock of the kernel, which ends with the process.
    """
    for path in GUARDED:
        guard = path.with_name("rwlock.lock")
        lock = files.lock_of(guard)
        if path.exists() and (lock is not None or not guard.exists()):
            holders = re.findall(r'"pid": (\d+)', path.read_text(encoding="utf-8", errors="replace"))
            if not any(is_dvc(int(pid)) for pid in holders):
                path.unlink()
                yield f"{path}: removed, no process of DVC holds it"
        if lock is not None:
            os.close(lock)


def remove_copies() -> Iterator[str]:
    """Remove the copies of the repository that killed ``dvc exp run --temp`` have left; their data go with them."""
    for folder in sorted(COPIES.glob("tmp*")):
        files.remove(folder)
        yield f"{folder}: removed, its experiment was killed"


def free_git() -> Iterator[str]:
    """Remove locks of git if no git runs in this folder."""
    import psutil

    locks = [path for name in ("index.lock", "HEAD.lock") if (path := Path(".git", name)).exists()]
    if locks and not any(one.info["name"] == "git" for one in psutil.process_iter(["name"])):
        for path in locks:
            path.unlink(missing_ok=True)
            yield f"{path}: removed, no git runs"


def restore_lock() -> Iterator[str]:
    """Put the committed ``dvc.lock`` into the place of one that DVC was killed in writing.

    What ran since comes from DVC's cache of runs.
    """
    if not LOCK.exists() or is_whole(LOCK):
        return
    committed = git("show", f"HEAD:./{LOCK}", check=False)
    if committed:
        write(LOCK, committed)
    else:
        LOCK.unlink()
    yield f"{LOCK}: was half-written; {'the committed one' if committed else 'none'} takes its place"


def is_whole(path: Path) -> bool:
    """Say whether DVC can read a ``dvc.lock``."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, Invalid, UnicodeDecodeError):
        return False
    return True


def is_left() -> bool:
    """Say whether a killed ``dvc exp run`` has left its settings."""
    return bool(revision(MERGED) or revision(QUEUED) or is_packed())


def is_packed() -> bool:
    """Say whether DVC was killed while it packed an experiment into a commit."""
    return bool(git("ls-files", "--cached", "--", PACKED.as_posix(), check=False))


def end_experiment() -> Iterator[str]:
    """Bring HEAD and the settings files back to where they were before a ``dvc exp run`` that was killed.

    A file that has changed since stays as it is; so do changes of the user's to other files. What the user had changed
    before the experiment, in settings files, too, is in a stash of DVC's, which stays in git as an unreachable commit.
    """
    branch, left = branch_before(), is_left()
    tip = revision(f"refs/heads/{branch}" if branch else "HEAD")
    if not tip or not (left or branch):
        return
    is_queued = not revision(MERGED)  # the user's changes may still be in git's stash
    experiment = revision(MERGED) or revision(QUEUED) or (git("write-tree").decode().strip() if is_packed() else None)
    kept = revision(STASH) if is_queued and is_of_dvc(revision(STASH), tip) else None
    before = kept or stash_before(experiment, tip) or tip
    if branch:
        git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        yield f"HEAD: back on {branch}"
    if branch or is_packed():
        git("reset", "-q")
    for name in changed(before, experiment) if experiment else ():
        if Path(name).suffix == ".yaml" and name != "dvc.yaml":
            yield from put_back(Path(name), before, experiment)
    if kept:
        for name in changed(tip, kept):
            yield from put_back(Path(name), kept, tip)
        if not git("diff", "--name-only", kept):
            git("stash", "drop", "-q")
    for reference in git("for-each-ref", "--format=%(refname)", "refs/exps/exec", QUEUED).decode().split():
        git("update-ref", "-d", reference)
    for path in (PACKED, Path(".dvc/tmp/exps/run")):
        files.remove(path)


def changed_settings() -> Iterator[str]:
    """Name settings files that are not as committed: an experiment that has failed, or ended, leaves its own."""
    for name in git("diff", "--name-only", "-z", "HEAD", "--", "params.yaml", "data/*.yaml", "models/*.yaml").split(
        b"\0"
    ):
        if path := name.decode():
            yield f"{path}: not as committed; if a `dvc exp run` left it so, `git checkout {path}` undoes it"


def branch_before() -> str | None:
    """Return the branch that DVC has taken HEAD off; None if HEAD is on one, or the user has left it for a commit."""
    if git("symbolic-ref", "-q", "HEAD", check=False):
        return None
    for line in git("reflog", "-50", "--format=%gs", "HEAD").decode().splitlines():
        if not line.startswith("checkout:"):
            continue
        branch = found[1] if (found := DETACHED.fullmatch(line)) else None
        tip = revision(f"refs/heads/{branch}") if branch else None
        return branch if tip and tip in (revision("HEAD"), revision("refs/exps/exec/EXEC_HEAD")) else None
    return None


def put_back(path: Path, before: str, experiment: str | None) -> Iterator[str]:
    """Write what a file held in the commit `before`, if it now holds what it does in the experiment's."""
    now, old = path.read_bytes() if path.exists() else None, content(before, path)
    if now == old:
        return
    if now != content(experiment or before, path) and not is_cut(path):
        yield f"{path}: has changed since the experiment began, so it stays; `git diff {path}` shows how"
    elif old is None:
        files.remove(path)
    else:
        write(path, old)
        yield f"{path}: as before the experiment"


def is_cut(path: Path) -> bool:
    """Say whether a settings file is no mapping, as one that DVC was killed in writing."""
    try:
        return path.suffix == ".yaml" and not isinstance(yaml.safe_load(path.read_bytes()), dict)
    except (yaml.YAMLError, UnicodeDecodeError, OSError):
        return True


def stash_before(experiment: str | None, tip: str) -> str | None:
    """Return the unreachable commit in which DVC had stashed the user's changes when it packed an experiment.

    The experiment differs from it in settings only.
    """
    if not experiment or not (date := git("log", "-1", "--format=%ct", experiment, check=False)):
        return None
    lines = git("fsck", "--unreachable", "--no-reflogs", "--no-progress", check=False).decode().splitlines()
    found = []
    for commit in [line.split()[2] for line in lines if line.startswith("unreachable commit")]:
        age = int(date) - int(git("log", "-1", "--format=%ct", commit))
        if 0 <= age <= AT_MOST and is_of_dvc(commit, tip):
            names = [name for name in changed(commit, experiment) if name != PACKED.as_posix()]
            if all(Path(name).suffix == ".yaml" for name in names):
                found.append((age, commit))
    return min(found)[1] if found else None


def is_of_dvc(commit: str | None, tip: str) -> bool:
    """Say whether a commit is a stash without a message of its own, made on `tip`."""
    parents, _, subject = git("log", "-1", "--format=%P%n%s", commit or tip).decode().partition("\n")
    return commit is not None and parents.startswith(tip) and subject.startswith("WIP on ")


def changed(one: str, other: str) -> list[str]:
    """Return the files in which two commits differ."""
    return git("diff", "--name-only", "-z", one, other).decode().split("\0")[:-1]


def content(commit: str, path: Path) -> bytes | None:
    """Return what a file holds in a commit, None if it is not there."""
    done = subprocess.run(["git", "show", f"{commit}:{path.as_posix()}"], capture_output=True)
    return None if done.returncode else done.stdout


def write(path: Path, text: bytes) -> None:
    """Replace a file."""
    with files.replacing(path) as temporary:
        temporary.write_bytes(text)


def revision(name: str) -> str | None:
    """Return the commit that a reference names, None if there is no such reference."""
    return git("rev-parse", "-q", "--verify", name, check=False).decode().strip() or None


def git(*arguments: str, check: bool = True) -> bytes:
    """Run git and return what it prints; `InputError` if it fails, with `check`."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True)
    except FileNotFoundError:
        if check:
            raise InputError("git: not installed") from None
        return b""
    if done.returncode and check:
        raise InputError(f"git {arguments[0]}: {' '.join(done.stderr.decode(errors='replace').split())}")
    return b"" if done.returncode else done.stdout

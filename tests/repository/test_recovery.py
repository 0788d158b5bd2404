"""After a killed DVC everything runs again, HEAD is on its branch, and the user's own changes are as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from genept.core import files
from genept.repository import recovery
from stages import recover
from tests import helpers

PIPELINE = "stages:\n  a:\n    cmd: kill -9 $PPID\n    params: [seed]\n    outs: [a.txt]\n"
LOCK = "schema: '2.0'\nstages:\n  a:\n    cmd: b\n    deps:\n    - path: c\n      md5: dddd\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose one stage kills DVC."""
    monkeypatch.chdir(tmp_path)
    texts = {".dvc/.gitignore": "/tmp\n/cache\n", ".dvc/config": "", "dvc.yaml": PIPELINE}
    Path(".dvc").mkdir()
    for name, text in {**texts, "params.yaml": "seed: 0\nmine: 1\n", "notes.txt": "a\n"}.items():
        Path(name).write_text(text)
    for command in ("git init -qb trunk", "git config user.name a", "git config user.email a@b.c"):
        helpers.run(*command.split(), cwd=tmp_path)
    commit()
    return tmp_path


def commit() -> None:
    helpers.run("git", "add", "-A", cwd=Path())
    helpers.run("git", "commit", "-qm", "x", cwd=Path())


def run(*options: str, code: int = 0) -> str:
    result = CliRunner().invoke(recover.main, options)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(("is_dirty", "later"), [(False, ""), (True, ""), (True, "seed: 5\n")])
def test_after_a_killed_experiment_one_command_brings_everything_back(folder: Path, is_dirty: bool, later: str) -> None:
    texts = {"params.yaml": "seed: 0\nmine: 1\n", "notes.txt": "a\n"}
    if is_dirty:
        texts = {"params.yaml": "seed: 0\nmine: 2   # my own\n", "notes.txt": "my own\n", "new.txt": "new\n"}
    for name, text in texts.items():
        Path(name).write_text(text)
    killed = helpers.run("dvc", "exp", "run", "-S", "seed=1", cwd=folder, check=False)
    assert killed.returncode == -9, killed.stderr
    assert "seed: 1" in Path("params.yaml").read_text() and not recovery.git("symbolic-ref", "-q", "HEAD", check=False)
    if later:
        Path("params.yaml").write_text(later)
    assert "`make recover`" in run("--locks")
    output = run()
    assert "HEAD: back on trunk" in output and (not later or "params.yaml: has changed since" in output)
    assert {name: Path(name).read_text() for name in texts} == {**texts, **({"params.yaml": later} if later else {})}
    assert recovery.git("symbolic-ref", "HEAD").decode() == "refs/heads/trunk\n"
    for left in ("for-each-ref refs/exps", "stash list", "diff --cached"):
        assert recovery.git(*left.split()) == b""
    named = [line.partition(":")[0] for line in run().splitlines()]
    assert named == (["params.yaml"] if is_dirty else []), "a second time there is nothing to do"


def test_the_copy_in_which_a_killed_experiment_ran_is_removed(folder: Path) -> None:
    killed = helpers.run("dvc", "exp", "run", "--temp", "-S", "seed=1", cwd=folder, check=False)
    (copy,) = recovery.COPIES.glob("tmp*")
    assert killed.returncode == -9 and (copy / "params.yaml").read_text() == "seed: 1\nmine: 1\n"
    assert "standalone" not in run("--locks") and f"{copy}: removed, its experiment was killed" in run()
    assert not copy.exists() and Path("params.yaml").read_text() == "seed: 0\nmine: 1\n"
    assert not run(), "a second time there is nothing to do"


@pytest.mark.parametrize(
    ("content", "is_removed"),
    [
        ("", True),
        ('{"write": {"/data', True),
        ('{"write": {"/a": {"pid": 4194303, "cmd": "dvc repro"}}}', True),  # no such process
        (f'{{"read": {{"/a": [{{"pid": {os.getpid()}, "cmd": "dvc repro"}}]}}}}', True),
        ('{"write": {"/a": {"pid": DVC, "cmd": "dvc repro"}}}', False),
    ],
    ids=["empty", "cut", "no such process", "another process got its number", "held"],
)
def test_a_lock_of_dvc_is_removed_unless_dvc_holds_it(
    content: str, is_removed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = recovery.GUARDED[0]
    path.parent.mkdir(parents=True)
    path.with_name("rwlock.lock").touch()
    (tmp_path / "dvc").write_text("import sys; sys.stdin.read()")
    with subprocess.Popen([sys.executable, "dvc"], stdin=subprocess.PIPE) as process:
        path.write_text(content.replace("DVC", str(process.pid)))
        with files.locked(path.with_name("rwlock.lock")):
            assert list(recovery.free_locks()) == [], "DVC changes it just now"
        assert bool(list(recovery.free_locks())) == is_removed
        assert path.exists() != is_removed
        assert f"DVC runs in this folder (process {process.pid})" in run(code=1)


@pytest.mark.parametrize(("length", "is_whole"), [(0, False), (7, False), (40, True), (52, False), (len(LOCK), True)])
def test_a_dvc_lock_that_was_cut_becomes_the_committed_one(
    length: int, is_whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recovery.LOCK.write_text(LOCK[:length])
    monkeypatch.setattr(recovery, "git", lambda *_, **__: LOCK.encode())
    assert bool(list(recovery.restore_lock())) != is_whole
    assert recovery.LOCK.read_text() == (LOCK[:length] if is_whole else LOCK)

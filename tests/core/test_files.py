"""Files are whole or not there, whatever happens on the way; and the files that a file's code comes from."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genept.core import files, hdf5, readers
from tests import helpers


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_or_folder_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path, folder = tmp_path / "scores.json", tmp_path / "model"
    path.write_text("old")
    folder.mkdir()
    (folder / "weights").write_text("old")
    with pytest.raises(type(error)), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    with pytest.raises(type(error)), files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("half")
        raise error
    assert path.read_text() == (folder / "weights").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [folder, path]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "exchange", lambda *_: False)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "stale").write_text("old")
    with files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["weights"]
    assert list(tmp_path.iterdir()) == [folder]


KILLED = {  # what a process does when it is killed
    "a file": "with files.replacing(Path('out')) as new: new.write_text('half'); kill()",
    "a folder": "with files.replacing_folder(Path('out')) as new: (new / 'a').write_text('half'); kill()",
    "a folder that changes places": "files.exchange = kill\nwith files.replacing_folder(Path('out')): pass",
    "a folder between two renames": (
        "files.exchange = lambda *_: False; rename = Path.rename\n"
        "Path.rename = lambda *names: kill() if names[0].parent.name.startswith('.writing-') else rename(*names)\n"
        "with files.replacing_folder(Path('out')): pass"
    ),
}


@pytest.mark.parametrize("what", KILLED)
def test_a_killed_writer_leaves_what_was_there_and_the_next_run_sweeps_the_rest(what: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if "folder" in what:
        out.mkdir()
    old = out / "a" if "folder" in what else out
    old.write_text("old")
    code = (
        f"import signal, sys; from pathlib import Path; sys.path.insert(0, {str(helpers.ROOT)!r})\n"
        "from genept.core import files; kill = lambda *_: signal.raise_signal(signal.SIGKILL)\n"
    )
    process = subprocess.run([sys.executable, "-c", code + KILLED[what]], cwd=tmp_path, check=False)
    assert process.returncode == -signal.SIGKILL
    assert old.exists() or "between" in what
    with files.replacing(tmp_path / "other") as in_use:
        (swept,) = files.sweep(tmp_path)
        assert in_use.parent.is_dir() and not swept.exists()
        in_use.touch()
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    with files.replacing(path) as temporary:
        files.write_json(temporary, {"ari": 0.5})
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(path, {"ari": float("nan")})
    assert readers.read_foreign(path) == {"ari": 0.5}


FILES = {
    "start.py": "from lib.a import f\nimport numpy\n",
    "lib/__init__.py": "",
    "lib/a.py": "def f():\n    from lib.deep import b\n    return b.x\n",
    "lib/deep/__init__.py": "",
    "lib/deep/b.py": "import lib.c\nx = 1\n",
    "lib/c.py": "from lib import a\n",  # a circle
    "lib/unused.py": "raise RuntimeError\n",
}


def test_code_is_hashed_with_all_that_it_imports_within_the_root_and_none_runs(tmp_path: Path) -> None:
    root = tmp_path
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    found = {path.relative_to(root).as_posix() for path in files.imported_files(root / "start.py", root)}
    assert found == FILES.keys() - {"lib/unused.py"}

    hashes = [files.code_sha256(root / "start.py", root)]
    for name in ("lib/unused.py", "lib/new.py", "lib/deep/b.py", "start.py"):
        (root / name).write_text("from lib.a import f\n")
        hashes.append(files.code_sha256(root / "start.py", root))
    assert hashes[0] == hashes[1] == hashes[2] and len(set(hashes[2:])) == 3


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 100])
def test_a_pattern_is_found_wherever_a_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    content = b"abcabxabcab\0abcd"
    (tmp_path / "a").write_bytes(content)
    monkeypatch.setattr(files, "CHUNK", at_once)
    with (tmp_path / "a").open("rb") as stream:
        found = []
        for place in hdf5.places(stream, b"abc"):
            found.append(place)
            stream.seek(0)  # what is found is read, too
    assert found == [0, 6, 12]

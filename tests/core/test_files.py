"""Files are whole or not there, whatever happens on the way."""

from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genept.core import files
from tests import helpers


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"abc" * files.CHUNK)
    assert files.sha256(path) == hashlib.sha256(b"abc" * files.CHUNK).hexdigest()


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


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "stale").write_text("old")
    with files.replacing_folder(folder) as temporary:
        (temporary / "weights").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["weights"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "embedding.npy"
    path.write_text("old")
    code = (
        "import signal; from pathlib import Path; from genept.core import files\n"
        f"with files.replacing(Path({str(path)!r})) as temporary:\n"
        "    temporary.write_text('half'); signal.raise_signal(signal.SIGKILL)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=helpers.ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    files.write_json(path, {"ari": 0.5})
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(path, {"ari": float("nan")})
    assert files.read_json(path) == {"ari": 0.5}

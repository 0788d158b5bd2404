"""Room on disk is asked for where the files will be, for all of them that share a disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from genept.core import disk
from genept.core.errors import InputError


def test_folders_on_one_disk_need_room_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3_000_000))
    needs = [(tmp_path / "not/yet/there", 1e6), (tmp_path / "b", 2e6)]
    disk.require(needs)
    with pytest.raises(InputError, match=r"needs 3\.1 MB of disk, 3\.0 MB are left; free some space and run again"):
        disk.require([*needs, (tmp_path, 1e5)])


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="/dev/shm, a disk of its own, is not on this system")
def test_each_disk_needs_room_for_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path("/dev/shm/none")
    if tmp_path.stat().st_dev == other.parent.stat().st_dev:
        pytest.skip("the temporary folder is in /dev/shm, so there is one disk")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100 if path == other.parent else 10**9))
    disk.require([(other, 100), (tmp_path, 10**9)])
    with pytest.raises(InputError, match=r"^/dev/shm: needs 1\.0 MB of disk, 0\.0 MB are left"):
        disk.require([(other, 10**6), (tmp_path, 1)])


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path / "fixed")
    (tmp_path / "fixed").mkdir()
    disk.require([(tmp_path / "other", 1)])
    with pytest.raises(InputError, match="fixed: cannot be written to, by its permissions"):
        disk.require([(tmp_path / "other", 1), (tmp_path / "fixed/later", 1)])

"""The user's own files: where they are expected, what the lock knows of them, and what happens without them."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from genept.downloads.config import read_sources
from genept.downloads.fetch import fetch
from tests.downloads.fetching import FOLDER, LOCK, fetched, forget_files, locked, refused, sha256

LABELS, CONTENT = Path("data/manual/artery/labels.csv"), b"cell,type\n"
KEY = "data/demo/labels.csv"


def labels(**changes: Any) -> dict[str, Any]:
    return {"labels.csv": {"path": LABELS.as_posix(), **changes}}


def fetched_zip(files: dict[str, Any]) -> dict[str, bytes]:
    """Fetch a folder, and return the members of its zip."""
    fetch("data/demo", read_sources({"kind": "local", "files": files}), FOLDER)
    with zipfile.ZipFile(FOLDER / next(iter(files))) as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        return {name: archive.read(name) for name in archive.namelist()}


def put(content: bytes = CONTENT, path: Path = LABELS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("folder", ["got", "~/got", "{home}/got"])
def test_a_path_starts_at_the_folder(home: Path, folder: str) -> None:
    put(path=home / "got/a.csv")
    put(path=Path("got/a.csv"))
    fetched("local", {"a.csv": {"path": "a.csv"}}, {"a.csv": CONTENT}, folder=folder.format(home=home))


def test_the_users_file_is_copied_and_recorded_and_so_are_its_changes() -> None:
    put()
    output = fetched("local", labels(), {"labels.csv": CONTENT})
    assert "data/manual/artery/labels.csv: sha256 recorded in data/hashes.lock.yaml; commit that file" in output
    assert locked()[KEY]["sha256"] == sha256(CONTENT)
    assert not LABELS.samefile(FOLDER / "labels.csv")
    assert "recorded" not in fetched("local", labels(), {"labels.csv": CONTENT})
    put(b"another")
    output = fetched("local", labels(), {"labels.csv": b"another"})
    assert "recorded in data/hashes.lock.yaml; it has changed since" in output
    assert locked()[KEY]["sha256"] == sha256(b"another")


def test_a_file_that_the_lock_knows_comes_from_the_store_or_makes_the_run_fail() -> None:
    """It is not silently left out, which would give labels of another origin."""
    files = labels(optional=True)
    fetched("local", files, {})
    assert locked() == {}
    put()
    fetched("local", files, {"labels.csv": CONTENT})
    LABELS.unlink()
    output = fetched("local", files, {"labels.csv": CONTENT})
    assert "its copy in the store is used; to go on without it, remove the lines of" in output
    forget_files()
    line = refused("local", files, "labels.csv: no such file, but data/hashes.lock.yaml has it since")
    assert "`dvc exp run --temp --copy-paths data/manual/artery`" in line  # DVC cannot copy into data/manual itself
    assert f"or to go on without it, remove the lines of {KEY} from data/hashes.lock.yaml" in line
    LOCK.unlink()
    fetched("local", files, {})


def test_the_sha256_of_the_settings_is_checked_and_tables_in_git_need_no_record() -> None:
    put()
    refused("local", labels(sha256="0" * 64), f"has sha256 {sha256(CONTENT)}, but the settings expect")
    put(path=Path("data/markers/ovarian.tsv"))
    fetched("local", {"markers.tsv": {"path": "data/markers/ovarian.tsv"}}, {"markers.tsv": CONTENT})
    assert locked() == {}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_is_refused_at_once(kind: str) -> None:
    LABELS.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(LABELS)
    refused("local", labels(path="/dev/zero" if kind == "device" else str(LABELS)), "is a pipe or a device, not a file")


def test_a_missing_file_is_said_with_the_way_to_it() -> None:
    line = refused("local", labels(where="the authors,\n on request."), f"{LABELS.absolute()}: no such file; ")
    assert "to get it: the authors, on request. Then put it there, or correct its path in the settings" in line
    refused("local", labels(), "labels.csv: no such file; put it there, or correct its path in the settings")
    LABELS.mkdir(parents=True)
    refused("local", labels(), "data/manual/artery/labels.csv: is a folder, not a file; correct the path of labels.csv")


def test_a_folder_of_cells_is_one_file_whatever_its_times(home: Path) -> None:
    store, raw = home / "mine.zarr", {"raw.zarr.zip": {"path": str(home / "mine.zarr")}}
    put(path=store / "sub/notes")
    refused("local", raw, "mine.zarr: neither a zarr store (.zgroup or zarr.json) nor a folder with matrix.mtx")
    put(b"{}", store / "zarr.json")
    content = fetched_zip(raw)
    assert content == {"sub/notes": CONTENT, "zarr.json": b"{}"}
    digest = locked()["data/demo/raw.zarr.zip"]["sha256"]
    os.utime(store / "zarr.json", (1, 1))
    fetched_zip(raw)
    assert locked()["data/demo/raw.zarr.zip"]["sha256"] == digest
    (store / "link").symlink_to("/etc/hostname")
    refused("local", raw, "link: refused, a link within a zarr store")
    shutil.rmtree(store)
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz", "notes.txt"):
        put(path=store / name)
    assert set(fetched_zip(raw)) == {"matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"}

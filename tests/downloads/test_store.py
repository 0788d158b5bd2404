"""A file whose sha256 is right is never downloaded again, and a failed fetch leaves the earlier files as they were."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.downloads import store
from genept.downloads.store import Record, Store, default_folder, read_lock
from tests import helpers
from tests.downloads.fetching import COUNTS, FOLDER, LOCK, STORE, fetched, forget_files, locked, refused, sha256, tar
from tests.downloads.loopback import Web


def items(web: Web) -> dict[str, Any]:
    """A file with a sha256, one without, and a member of an archive without."""
    return {
        "a": {"url": web.put("/a", COUNTS), "sha256": sha256(COUNTS)},
        "b": {"url": web.put("/b", b"second")},
        "c": {"url": web.put("/c.tar", tar({"c": b"third", "d": b"fourth"})), "member": "c"},
    }


EXPECTED = {"a": COUNTS, "b": b"second", "c": b"third"}


def test_what_is_in_the_store_is_not_downloaded_again(web: Web) -> None:
    files = items(web)
    fetched("http", {**files, "copies/a": files["a"]}, {**EXPECTED, "copies/a": COUNTS})
    assert len(web.server.requests) == 3
    web.forget()
    assert "from the store of downloads" in fetched("http", files, EXPECTED)
    shutil.rmtree(FOLDER)  # as DVC does before a stage, and `dvc repro -f` with it
    fetched("http", {**files, "d": {**files["c"], "member": "d"}}, {**EXPECTED, "d": b"fourth"})
    fetched("http", {"b": files["b"]}, {"b": b"second"})  # files that are no longer named are removed
    assert not web.server.requests


def test_dvc_keeps_the_folders_of_fetch_stages_until_they_are_replaced() -> None:
    stages = yaml.safe_load((helpers.ROOT / "dvc.yaml").read_text())["stages"]
    outs = [out for name in stages if name.startswith("fetch") for out in stages[name]["outs"]]
    assert outs and all(option["persist"] for out in outs for option in out.values())


def test_what_dvc_pulled_is_not_downloaded_again(web: Web) -> None:
    files = items(web)
    fetched("http", files, EXPECTED)
    shutil.rmtree(STORE)
    web.forget()
    fetched("http", files, EXPECTED)
    assert not web.server.requests


def test_another_workspace_finds_the_store_by_the_cache_that_dvc_names(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``dvc exp run --temp`` makes one: a checkout whose ``.dvc/config.local`` names the main repository's cache."""
    files = items(web)
    fetched("http", files, EXPECTED)
    lock = LOCK.read_bytes()
    main, workspace = Path().absolute(), tmp_path / "project/.dvc/tmp/exps/one"
    (workspace / ".dvc").mkdir(parents=True)
    (workspace / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (workspace / ".dvc/config.local").write_text(f"[cache]\n    dir = {main}/.dvc/cache\n")
    os.chdir(workspace)
    LOCK.parent.mkdir()
    LOCK.write_bytes(lock)  # it is in git
    web.forget()
    fetched("http", files, EXPECTED)
    assert not web.server.requests
    assert default_folder().resolve() == main / STORE
    monkeypatch.setenv("GENEPT_DOWNLOADS", str(tmp_path / "elsewhere"))  # which goes first
    fetched("http", files, EXPECTED)
    assert (tmp_path / "elsewhere" / sha256(COUNTS)).read_bytes() == COUNTS


@pytest.mark.parametrize("how", ["altered in place", "damaged on the disk"])
def test_a_file_of_the_store_is_hashed_at_use(web: Web, how: str) -> None:
    files = items(web)
    fetched("http", files, EXPECTED)
    path = FOLDER / "a" if how == "altered in place" else STORE / sha256(COUNTS)
    path.chmod(0o644)
    path.write_bytes(b"altered")
    web.forget()
    assert "damaged, so it is dropped" in fetched("http", files, EXPECTED)
    assert [request.path for request in web.server.requests] == ["/a"]


def test_without_hard_links_files_are_copied(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("genept.downloads.store.os.link", link)
    fetched("http", items(web), EXPECTED)
    (FOLDER / "a").write_bytes(b"altered")
    assert Store().has(sha256(COUNTS))


def test_a_failed_fetch_leaves_the_earlier_files_and_what_came_is_not_downloaded_again(web: Web) -> None:
    fetched("http", {"a": {"url": web.put("/old", b"old")}}, {"a": b"old"})
    files = {"first": {"url": web.put("/a", COUNTS)}, "second": {"url": web.put("/b", status=403)}}
    refused("http", files, "/b: it answered 403 (Forbidden)")
    web.put("/b", b"b")
    web.forget()
    fetched("http", files, {"first": COUNTS, "second": b"b"})
    assert [request.path for request in web.server.requests] == ["/b"]


def test_a_first_download_is_recorded_and_another_file_later_is_refused(web: Web) -> None:
    files = {"b": {"url": web.put("/b", b"second")}}
    output = fetched("http", files, {"b": b"second"})
    assert "first download of b: sha256 recorded in data/hashes.lock.yaml; commit that file" in output
    assert locked()["data/demo/b"]["sha256"] == sha256(b"second")
    assert locked()["data/demo/b"]["size"] == 6
    forget_files()
    web.put("/b", b"newer")
    refused("http", files, "remove the lines of the file from data/hashes.lock.yaml")
    stated = {"b": {**files["b"], "sha256": sha256(b"newer")}}  # which goes before the lock
    fetched("http", stated, {"b": b"newer"})
    LOCK.unlink()
    fetched("http", files, {"b": b"newer"})


def test_an_archive_is_recorded_and_another_one_later_is_not_opened(web: Web) -> None:
    item = {"url": web.put("/c.tar", tar({"c": b"third"})), "member": "c"}
    fetched("http", {"c": item}, {"c": b"third"})
    assert set(locked()) == {"data/demo/c", f"data/demo/archive of http {item['url']}"}
    web.put("/c.tar", tar({"c": b"other"}))
    forget_files()
    refused("http", {"c": item}, "what came has sha256")
    assert not list(STORE.glob("?" * 64))


@pytest.mark.parametrize(
    ("lock", "text"),
    [("a: [", "while parsing"), ("- a", "valid dict"), ("data/demo/b: {sha256: 1, size: 2, date: x}", "data/demo/b.")],
)
def test_a_damaged_lock_is_not_read_as_an_empty_one(web: Web, lock: str, text: str) -> None:
    LOCK.parent.mkdir()
    LOCK.write_text(lock)
    line = refused("http", {"b": {"url": web.put("/b", b"b")}}, text)
    assert line.startswith("data/hashes.lock.yaml: ")
    assert "restore it with `git checkout data/hashes.lock.yaml`" in line
    assert not web.server.requests


def test_records_without_a_settings_file_are_forgotten(web: Web) -> None:
    hashes = {name: Record(sha256="0" * 64, size=1, date="2026-01-01") for name in ("a/x", "a.fallback/archive of y z")}
    store.write_lock({f"data/{name}": one for name, one in hashes.items()} | {"models/b/x": hashes["a/x"]})
    Path("data/a.yaml").write_text("title: A\n")
    assert Store().forget_unnamed(only_say=True) == ["models/b/x"] and len(read_lock()) == 3
    assert Store().forget_unnamed() == ["models/b/x"] and len(read_lock()) == 2
    Path("data/a.yaml").unlink()
    assert len(Store().forget_unnamed()) == 2 and read_lock() == {}

"""A file whose sha256 is right is never downloaded again, and a failed fetch leaves the earlier files as they were."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.downloads.store import Store, default_folder
from tests import helpers
from tests.downloads.archives import tar
from tests.downloads.fetching import (
    COUNTS,
    FOLDER,
    LOCK,
    STORE,
    content,
    fetch,
    fetched,
    invoke,
    locked,
    refused,
    sha256,
    write_demo,
)
from tests.downloads.loopback import Web


def items(web: Web) -> dict[str, Any]:
    """A file with a sha256, one without, and a member of an archive without."""
    return {
        "a": {"url": web.put("/a", COUNTS), "sha256": sha256(COUNTS)},
        "b": {"url": web.put("/b", b"second")},
        "c": {"url": web.put("/c.tar", tar({"c": b"third"})), "member": "c"},
    }


EXPECTED = {"a": COUNTS, "b": b"second", "c": b"third"}


def test_a_second_run_asks_nobody(web: Web) -> None:
    files = items(web)
    fetched("http", files, EXPECTED)
    assert len(web.server.requests) == 3
    web.forget()
    assert "from the store of downloads" in fetched("http", files, EXPECTED)
    shutil.rmtree(FOLDER)  # as DVC does before a stage, and `dvc repro -f` with it
    fetched("http", files, EXPECTED)
    assert not web.server.requests


def test_no_fetch_stage_depends_on_code() -> None:
    stages = yaml.safe_load((helpers.ROOT / "dvc.yaml").read_text())["stages"]
    names = [name for name in stages if name.startswith("fetch")]
    assert len(names) >= 3
    for name in names:
        assert not [path for path in stages[name].get("deps", []) if path.endswith(".py") or "genept" in path]
        assert all(option == {"persist": True} for out in stages[name]["outs"] for option in out.values())


def test_another_workspace_finds_the_store_by_the_cache_that_dvc_names(web: Web, tmp_path: Path) -> None:
    """As ``dvc exp run --temp`` makes one: a checkout whose ``.dvc/config.local`` names the main repository's cache."""
    files = items(web)
    fetched("http", files, EXPECTED)
    lock = LOCK.read_bytes()
    main, workspace = Path().absolute(), tmp_path / "project/.dvc/tmp/exps/one"
    (workspace / ".dvc").mkdir(parents=True)
    (workspace / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (workspace / ".dvc/config.local").write_text(f"[cache]\n    dir = {main}/.dvc/cache\n")
    os.chdir(workspace)
    (workspace / "data").mkdir()
    LOCK.write_bytes(lock)  # it is in git
    web.forget()
    assert fetch("http", files).exit_code == 0
    assert content() == EXPECTED
    assert not web.server.requests
    assert default_folder().resolve() == main / STORE


def test_a_variable_names_the_store(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEPT_DOWNLOADS", str(tmp_path / "elsewhere"))
    fetched("http", items(web), EXPECTED)
    assert (tmp_path / "elsewhere" / sha256(COUNTS)).read_bytes() == COUNTS
    assert not STORE.exists()


def test_two_folders_share_one_download(web: Web) -> None:
    files = {"a": items(web)["a"], "copies/a": items(web)["a"]}
    fetched("http", files, {"a": COUNTS, "copies/a": COUNTS})
    assert len(web.server.requests) == 1


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
    good = {"url": web.put("/a", COUNTS)}
    bad = {"url": web.put("/b", status=403)}
    refused("http", {"first": good, "second": bad}, "/b: it answered 403 (Forbidden)")
    assert content() == {"a": b"old"}
    web.put("/b", b"b")
    web.forget()
    fetched("http", {"first": good, "second": bad}, {"first": COUNTS, "second": b"b"})
    assert [request.path for request in web.server.requests] == ["/b"]


def test_files_that_are_no_longer_named_are_removed_at_the_end(web: Web) -> None:
    files = items(web)
    fetched("http", files, EXPECTED)
    fetched("http", {"b": files["b"]}, {"b": b"second"})


def test_a_file_of_another_hash_than_the_settings_is_refused(web: Web) -> None:
    item = {"url": web.put("/a", COUNTS), "sha256": "0" * 64}
    line = refused("http", {"a": item}, f"what came has sha256 {sha256(COUNTS)}, but {'0' * 64} is expected")
    assert "correct the sha256 in the settings" in line


def test_a_first_download_is_recorded_and_another_file_later_is_refused(web: Web) -> None:
    output = fetched("http", {"b": {"url": web.put("/b", b"second")}}, {"b": b"second"})
    assert "first download of b: sha256 recorded in data/hashes.lock.yaml; commit that file" in output
    assert locked()["data/demo/b"]["sha256"] == sha256(b"second")
    assert locked()["data/demo/b"]["size"] == 6
    shutil.rmtree(STORE)
    url = web.put("/b", b"altered")
    refused("http", {"b": {"url": url}}, "remove the lines of the file from data/hashes.lock.yaml")
    LOCK.unlink()
    fetched("http", {"b": {"url": url}}, {"b": b"altered"})


def test_a_sha256_of_the_settings_goes_before_the_lock(web: Web) -> None:
    url = web.put("/b", b"second")
    fetched("http", {"b": {"url": url}}, {"b": b"second"})
    web.put("/b", b"newer")
    fetched("http", {"b": {"url": url, "sha256": sha256(b"newer")}}, {"b": b"newer"})


def test_an_archive_is_recorded_and_another_one_later_is_not_opened(web: Web) -> None:
    url = web.put("/c.tar", tar({"c": b"third"}))
    fetched("http", {"c": {"url": url, "member": "c"}}, {"c": b"third"})
    assert set(locked()) == {"data/demo/c", f"data/demo/archive of http {url}"}
    web.put("/c.tar", tar({"c": b"other"}))
    web.forget()
    fetched("http", {"c": {"url": url, "member": "c", "sha256": sha256(b"third")}}, {"c": b"third"})
    assert not web.server.requests
    shutil.rmtree(STORE)
    refused("http", {"c": {"url": url, "member": "c"}}, "what came has sha256")
    assert not list(STORE.glob("?" * 64))


def test_another_member_of_an_archive_comes_without_a_second_download(web: Web) -> None:
    url = web.put("/c.tar", tar({"c": b"third", "d": b"fourth"}))
    fetched("http", {"c": {"url": url, "member": "c"}}, {"c": b"third"})
    web.forget()
    fetched("http", {"d": {"url": url, "member": "d"}}, {"d": b"fourth"})
    assert not web.server.requests


@pytest.mark.parametrize(
    ("lock", "text"),
    [
        ("a: [", "not readable as YAML"),
        ("- a", "expected a mapping of files"),
        ("data/demo/b: {sha256: 1, size: 2, date: x}", "data/demo/b needs sha256, size and date"),
    ],
)
def test_a_damaged_lock_is_not_read_as_an_empty_one(web: Web, lock: str, text: str) -> None:
    write_demo({"kind": "http", "files": {"b": {"url": web.put("/b", b"b")}}})
    LOCK.write_text(lock)
    result = invoke()
    assert result.exit_code == 1
    assert text in result.output
    assert "restore it with `git checkout data/hashes.lock.yaml`" in result.output
    assert not web.server.requests

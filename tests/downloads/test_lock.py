"""The lock of hashes: the first download decides, whatever comes later."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.downloads import lock as _lock
from genept.downloads.hosts import wheel
from tests import helpers
from tests.downloads.hashes import sha256
from tests.downloads.loopback import invoke, refusal

FIRST, LATER = b"the first file\n", b"another file, later\n"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What a network kind gives now, by file; the kind is wheel's name with another hand behind it."""
    monkeypatch.chdir(tmp_path)
    published = {"a.txt": FIRST, "b.txt": FIRST}

    def fetch(source: dict[str, Any], folder: Path) -> None:
        for target in source["files"]:
            (folder / target).write_bytes(published[target])

    monkeypatch.setattr(wheel, "fetch", fetch)
    return published


def source(*targets: str, **item: Any) -> dict[str, Any]:
    return {"kind": "wheel", "files": {target: {"member": "x", **item} for target in targets or ("a.txt",)}}


def locked() -> Any:
    return yaml.safe_load(_lock.PATH.read_text(encoding="utf-8"))


def test_the_first_download_is_recorded_and_said(publisher: dict[str, bytes]) -> None:
    before = datetime.datetime.now(datetime.UTC).date()
    result = invoke(source())
    assert result.exit_code == 0, result.output
    assert (
        "First download of models.m/a.txt: sha256 recorded in data/hashes.lock.yaml; commit that file" in result.output
    )
    assert "To notice when it changes" not in result.output
    record = locked()["models.m/a.txt"]
    assert {key: record[key] for key in ("sha256", "size")} == {"sha256": sha256(FIRST), "size": len(FIRST)}
    day = datetime.date.fromisoformat(record["date"])
    assert before <= day <= datetime.datetime.now(datetime.UTC).date()


def test_the_same_file_again_is_silent_and_changes_nothing(publisher: dict[str, bytes]) -> None:
    invoke(source())
    before = _lock.PATH.read_bytes()
    result = invoke(source())
    assert result.exit_code == 0
    assert "First download" not in result.output
    assert _lock.PATH.read_bytes() == before


def test_a_file_may_come_from_another_kind_of_source(publisher: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(LATER)
    mixed = source()
    mixed["files"]["labels.csv"] = {"kind": "local", "path": str(tmp_path / "labels.csv")}
    result = invoke(mixed)
    assert result.exit_code == 0, result.output
    assert Path("models/m/a.txt").read_bytes() == FIRST and Path("models/m/labels.csv").read_bytes() == LATER
    assert list(locked()) == ["models.m/a.txt"]
    assert f"add under models.m.source.files.labels.csv:  sha256: {sha256(LATER)}" in result.output
    mixed["files"]["labels.csv"]["kind"] = "carrier_pigeon"
    assert "no kind 'carrier_pigeon'" in refusal(invoke(mixed), exit_code=2)


def test_another_file_later_is_refused_with_both_hashes_and_the_way_out(publisher: dict[str, bytes]) -> None:
    invoke(source())
    text = _lock.PATH.read_text().replace(locked()["models.m/a.txt"]["date"], "2023-04-05")
    _lock.PATH.write_text(text)
    publisher["a.txt"] = LATER
    line = refusal(invoke(source()))
    assert "models.m/a.txt is not the file that came first, on 2023-04-05" in line
    assert f"sha256 was {sha256(FIRST)} (15 bytes), is {sha256(LATER)} (20 bytes); nothing was kept" in line
    assert "delete the lines of models.m/a.txt in data/hashes.lock.yaml and run again" in line
    assert Path("models/m/a.txt").read_bytes() == FIRST
    assert _lock.PATH.read_text() == text
    _lock.PATH.write_text("# nothing left\n")
    assert invoke(source()).exit_code == 0
    assert locked()["models.m/a.txt"]["sha256"] == sha256(LATER)


def test_a_file_is_added_to_those_that_are_there_in_order(publisher: dict[str, bytes]) -> None:
    invoke(source("b.txt"))
    publisher["a.txt"] = LATER
    result = invoke(source("a.txt", "b.txt"))
    assert "First download of models.m/a.txt: " in result.output
    assert list(locked()) == ["models.m/a.txt", "models.m/b.txt"]
    assert _lock.PATH.read_text().startswith("# The first download of every file without a sha256")


def test_one_file_that_changed_keeps_the_others_out_of_the_lock(publisher: dict[str, bytes]) -> None:
    invoke(source("b.txt"))
    publisher["b.txt"] = LATER
    refusal(invoke(source("a.txt", "b.txt")))
    assert list(locked()) == ["models.m/b.txt"]


def test_a_hash_in_params_goes_before_the_lock(publisher: dict[str, bytes]) -> None:
    assert invoke(source(sha256=sha256(FIRST))).exit_code == 0
    assert not _lock.PATH.exists()
    invoke(source(sha256=None))
    publisher["a.txt"] = LATER
    assert invoke(source(sha256=sha256(LATER))).exit_code == 0
    assert locked()["models.m/a.txt"]["sha256"] == sha256(FIRST)


def test_a_file_of_ones_own_is_not_locked(publisher: dict[str, bytes]) -> None:
    Path("mine.txt").write_bytes(FIRST)
    result = invoke({"kind": "local", "files": {"a.txt": {"path": "mine.txt"}}})
    assert f"add under models.m.source.files.a.txt:  sha256: {sha256(FIRST)}" in result.output
    assert not _lock.PATH.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not readable as YAML"),
        ("- a\n- b\n", "expected a mapping"),
        ("models.m/a.txt: abc\n", "models.m/a.txt needs sha256, size and date"),
        ("models.m/a.txt: {sha256: abc, size: 1}\n", "models.m/a.txt needs sha256, size and date"),
        ("models.m/a.txt: {sha256: 123, size: 1, date: '2023-01-01'}\n", "in quotes"),
    ],
)
def test_a_damaged_lock_stops_before_the_download(
    publisher: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr(wheel, "fetch", never)
    _lock.PATH.parent.mkdir()
    _lock.PATH.write_text(text)
    line = refusal(invoke(source()))
    assert message in line
    assert "restore it with `git checkout data/hashes.lock.yaml`" in line
    assert _lock.PATH.read_text() == text


def test_git_sees_the_lock_and_not_the_partial_downloads() -> None:
    found = helpers.run("git", "check-ignore", str(_lock.PATH), "data/.partial/x", cwd=helpers.ROOT, check=False)
    assert found.stdout.split() == ["data/.partial/x"]


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
        st.tuples(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0), st.dates()),
    )
)
def test_what_is_recorded_is_read_again(tmp_path_factory: pytest.TempPathFactory, records: dict[str, Any]) -> None:
    content = {
        key: {"sha256": digest, "size": size, "date": day.isoformat()} for key, (digest, size, day) in records.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lock, "PATH", tmp_path_factory.mktemp("lock") / "hashes.lock.yaml")
        for key, record in content.items():
            _lock.record({key: record})
        assert _lock.read() == content
        assert list(_lock.read()) == sorted(content)


def test_a_hash_is_compared_whatever_its_case() -> None:
    first = {"sha256": "AB" * 32, "size": 1, "date": "2023-01-01"}
    _lock.compare("x", first, {**first, "sha256": "ab" * 32})
    with pytest.raises(InputError, match="is not the file that came first"):
        _lock.compare("x", first, {**first, "sha256": "ac" * 32})

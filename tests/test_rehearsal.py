"""The rehearsal's parts: the proxy, the troubles, the published files. The rehearsal itself is `make rehearse`."""

from __future__ import annotations

import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from genept.data.hgnc import Gene
from genept.downloads.config import HOSTS, parse_source
from genept.downloads.hosts import scp
from rehearsal import checks, datasets, services, simulate, troubles
from rehearsal.proxy import Proxy
from rehearsal.publish import NOT_SERVED, SERVE, Publisher, digest
from rehearsal.services import World
from rehearsal.troubles import Troubles
from tests.downloads.loopback import Request

HGNC = [Gene(f"GENE{i}", "", (), (f"OLD{i}",), f"ENSG{i:011d}", simulate.CODING) for i in range(120)]
PANEL = simulate.panel(HGNC, ["GENE1"], n_genes=80)
CONTENT = bytes(range(256)) * 40
URL = "https://example.org/file"


class Stage:
    """A proxy that plays a world, with its troubles, and a session that goes through it."""

    def __init__(self, world: World, trouble: Troubles, folder: Path) -> None:
        self.trouble = trouble
        certificate = folder / "authority.pem"
        self.proxy = Proxy(world.hosts(), lambda request: trouble.apply(request, world.answer(request)), certificate)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.proxies = {"https": self.proxy.address}
        self.session.verify = str(certificate)

    def get(self, url: str = URL, **headers: str) -> requests.Response:
        return self.session.get(url, headers=headers, timeout=60)

    def missed(self) -> list[str]:
        return self.trouble.missed(self.proxy.log)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    world, trouble = World(), Troubles()
    trouble.add(world.file(URL, CONTENT), troubles.busy, troubles.broken)
    found = Stage(world, trouble, tmp_path)
    yield found
    found.proxy.stop()


def publish(source: dict[str, Any], **contents: bytes) -> tuple[World, Publisher]:
    """Publish files of a source in a world of its own."""
    publisher = Publisher(World(), Troubles())
    places = {target: file.places[0] for target, file in parse_source(source).files.items()}
    publisher.publish(places, contents)
    return publisher.world, publisher


def test_a_host_is_played_at_its_own_address_with_its_troubles_in_order(stage: Stage) -> None:
    assert stage.get().status_code == 429
    with pytest.raises(requests.exceptions.RequestException):
        _ = stage.get().content
    half = len(CONTENT) // 2
    rest = stage.get(Range=f"bytes={half}-")
    assert (rest.status_code, rest.content) == (206, CONTENT[half:])
    assert stage.missed() == []
    assert stage.proxy.twice() == []
    exchanges = [(one.answer.status, one.trouble, one.completes_a_file) for one in stage.proxy.log]
    assert exchanges == [(429, "busy", False), (200, "broken", False), (206, "", True)]


def test_a_trouble_that_did_not_happen_and_a_file_that_was_started_again_are_reported(stage: Stage) -> None:
    assert "busy did not happen" in stage.missed()[0]
    stage.get()
    with pytest.raises(requests.exceptions.RequestException):
        _ = stage.get().content
    assert stage.get().content == CONTENT
    assert "started again after a broken connection" in stage.missed()[0]


def test_a_file_that_is_downloaded_twice_is_reported(stage: Stage) -> None:
    stage.trouble.all.clear()
    stage.get(Range="bytes=0-0")
    stage.get(Range="bytes=100-")
    assert stage.proxy.twice() == []
    stage.get()
    assert stage.proxy.twice() == ["example.org /file "]


def test_a_host_that_is_not_played_is_refused(stage: Stage) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        stage.get("https://elsewhere.example.org/")
    assert stage.proxy.refused == ["elsewhere.example.org"]


def test_members_are_published_in_one_archive_where_their_kind_looks_for_it() -> None:
    files = {"a": {"member": "a.gz", "sha256": "0" * 64}, "b": {"member": "b.gz"}}
    world, publisher = publish({"kind": "geo", "accession": "GSE152805", "files": files}, a=b"one", b=b"two")
    assert publisher.hashes == {"0" * 64: digest(b"one")}
    path = "/geo/series/GSE152nnn/GSE152805/suppl/GSE152805_RAW.tar"
    assert world.answer(Request("GET", path, {}, {"host": "ftp.ncbi.nlm.nih.gov"})).status == 200
    assert [[change.__name__ for change in one.changes] for one in publisher.trouble.all] == [["broken", "closed"]]


def test_the_portal_signs_anew_and_only_the_newest_signature_is_good() -> None:
    world, _ = publish({"kind": "scp", "study": "SCP1", "files": {"a": {"name": "a.h5ad"}}}, a=b"one")

    def address() -> str:
        query = {"auth_code": services.CODE}
        path = "/single_cell/api/v1/bulk_download/generate_curl_config"
        text = world.answer(Request("GET", path, query, {"host": services.PORTAL})).body.decode()
        return scp.parse(text)["a.h5ad"][0]

    def status(url: str) -> int:
        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        return world.answer(Request("GET", parts.path, query, {"host": services.BUCKET})).status

    first, second = address(), address()
    assert first.partition("?")[0] == second.partition("?")[0]
    assert (status(first), status(second)) == (400, 200)


def test_every_kind_of_source_can_be_published() -> None:
    assert set(HOSTS) == {*SERVE, *NOT_SERVED}


@pytest.mark.parametrize("name", ["bones", "myeloid"])
def test_equal_seeds_give_equal_files(name: str) -> None:
    def made(seed: int) -> dict[str, bytes]:
        return datasets.MAKERS[name](datasets.Kit(PANEL, {}, seed))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_the_key_is_found_in_a_file_and_in_an_object_of_git(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    assert checks.leaks(clone, "sk-secret") == []
    (clone / "a").write_text("key: sk-secret")
    subprocess.run(["git", "hash-object", "-w", "a"], cwd=clone, check=True, capture_output=True)
    assert checks.leaks(clone, "sk-secret") == ["clone/a: holds the API key", "an object of git holds the API key"]

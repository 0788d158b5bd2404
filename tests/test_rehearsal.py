"""The rehearsal's parts: the proxy, the troubles, the published files. The rehearsal itself is `make rehearse`."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import requests
import scipy.sparse as sp
from anndata.io import read_elem

from genept.data.hgnc import Gene
from genept.downloads.config import HOSTS, files_of, parse_source, read_sources
from genept.downloads.hosts import scp
from genept.engines.geneformer.logarithms import counts_of
from rehearsal import checks, datasets, models, services, simulate, troubles
from rehearsal.proxy import Proxy
from rehearsal.publish import NOT_SERVED, SERVE, Publisher, digest
from rehearsal.services import World
from rehearsal.troubles import Troubles
from tests import helpers
from tests.downloads.loopback import Request

HGNC = [Gene(f"GENE{i}", "", (), (f"OLD{i}",), f"ENSG{i:011d}", simulate.CODING) for i in range(120)]
PANEL = simulate.panel(HGNC, ["GENE1"], n_genes=80)
CONTENT = bytes(range(256)) * 40
URL = "https://example.org/file"
RELEASES = ("genept_release_1", "genept_release_2")


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


@pytest.mark.parametrize("name", ["pancreas", "multiple_sclerosis", "myeloid"])
def test_files_of_logarithms_have_counts_for_geneformer(name: str) -> None:
    for content in datasets.MAKERS[name](datasets.Kit(PANEL, {}, 3)).values():
        with h5py.File(io.BytesIO(content)) as file:
            x = read_elem(file["X"])
        found, base = counts_of(sp.csr_matrix(x))
        assert (found is not None, base) == (True, "e")


def test_both_releases_of_genept_are_published_and_a_pinned_md5_is_the_miniatures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(helpers.ROOT)
    publisher = Publisher(World(), Troubles())
    places = {name: files_of(read_sources(name))["ada002.pickle"].places[0] for name in RELEASES}
    of_release = {name: models.contents("genept_w", {name: place}, PANEL, 3)[name] for name, place in places.items()}
    publisher.publish(places, of_release)
    first, second = (len(pickle.loads(of_release[name])) for name in RELEASES)
    assert first < second < len(PANEL.symbols)
    record = json.loads(
        publisher.world.answer(Request("GET", "/api/records/10030426", {}, {"host": "zenodo.org"})).body
    )
    stated = record["files"][0]["checksum"].removeprefix("md5:")
    assert publisher.hashes[str(places["genept_release_1"].model_dump()["md5"])] == stated


def test_the_key_is_found_in_a_file_and_in_an_object_of_git(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    assert checks.leaks(clone, "sk-secret") == []
    (clone / "a").write_text("key: sk-secret")
    subprocess.run(["git", "hash-object", "-w", "a"], cwd=clone, check=True, capture_output=True)
    assert checks.leaks(clone, "sk-secret") == ["clone/a: holds the API key", "an object of git holds the API key"]

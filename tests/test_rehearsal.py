"""The rehearsal's parts: the proxy, the troubles, the published files. The rehearsal itself is `make rehearse`."""

from __future__ import annotations

import hashlib
import http.client
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from genept.data.hgnc import Gene
from genept.downloads.hosts import scp
from rehearsal import certificates, checks, datasets, services, simulate, troubles
from rehearsal.proxy import Proxy
from rehearsal.publish import publish
from rehearsal.services import World
from rehearsal.troubles import Troubles
from tests.downloads.loopback import Answer, Request, ranged, serving

HGNC = [Gene(f"GENE{i}", "", (), (f"OLD{i}",), f"ENSG{i:011d}", simulate.CODING) for i in range(120)]
PANEL = simulate.panel(HGNC, ["GENE1"], n_genes=80)
CONTENT = bytes(range(256)) * 40
GEO = {
    "kind": "geo",
    "accession": "GSE152805",
    "files": {"a": {"member": "a.gz", "sha256": "0" * 64}, "b": {"member": "b.gz"}},
}


class Stage:
    """A proxy that plays a world, with its troubles, and a session that goes through it."""

    def __init__(self, world: World, trouble: Troubles, folder: Path) -> None:
        self.trouble = trouble
        context, bundle = certificates.make(world.hosts(), folder)
        self.proxy = Proxy(world.hosts(), context, lambda r, body: trouble.into(r, world.answer(r, body)))
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.proxies = {"http": self.proxy.url, "https": self.proxy.url}
        self.session.verify = str(bundle)

    def get(self, url: str, **headers: str) -> requests.Response:
        return self.session.get(url, headers=headers, timeout=5)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    world, trouble = World(), Troubles()
    world.file("https://example.org/file", CONTENT)
    trouble.add("example.org", "/file", troubles.busy, troubles.reset)
    found = Stage(world, trouble, tmp_path)
    yield found
    found.proxy.stop()


def test_a_host_is_played_at_its_own_address_with_its_troubles_in_order(stage: Stage) -> None:
    url = "https://example.org/file"
    assert stage.get(url).status_code == 429
    with pytest.raises(requests.exceptions.RequestException):
        _ = stage.get(url).content
    half = len(CONTENT) // 2
    rest = stage.get(url, Range=f"bytes={half}-")
    assert (rest.status_code, rest.content) == (206, CONTENT[half:])
    assert stage.trouble.missed(stage.proxy.log) == []
    assert [(entry.status, entry.n_bytes, entry.trouble) for entry in stage.proxy.log] == [
        (429, 17, "busy"),
        (200, half, "reset"),
        (206, len(CONTENT) - half, ""),
    ]


def test_a_trouble_that_did_not_happen_or_was_not_got_over_by_going_on_is_said(stage: Stage) -> None:
    assert "busy did not happen" in stage.trouble.missed(stage.proxy.log)[0]
    stage.get("https://example.org/file")
    with pytest.raises(requests.exceptions.RequestException):
        _ = stage.get("https://example.org/file").content
    assert stage.get("https://example.org/file").content == CONTENT
    assert "started again after a reset" in stage.trouble.missed(stage.proxy.log)[0]


def test_a_host_that_is_not_played_is_reached_through_a_tunnel(stage: Stage) -> None:
    def answer(request: Request) -> Answer:
        return ranged(request, b"from elsewhere", {})

    with serving(answer) as other:
        connection = http.client.HTTPConnection("127.0.0.1", stage.proxy.server_port, timeout=5)
        connection.set_tunnel("127.0.0.1", other.server_port)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"from elsewhere"
    assert stage.proxy.tunnels == ["127.0.0.1"]
    assert stage.proxy.log == []


def test_an_altered_file_is_another_of_the_same_length() -> None:
    found = troubles.altered(Answer(200, CONTENT))
    assert len(found.body) == len(CONTENT)
    assert found.body != CONTENT


def test_a_source_is_published_where_its_kind_looks_for_it() -> None:
    world, trouble = World(), Troubles()
    said = publish(GEO, {"a": b"one", "b": b"two"}, world, trouble)
    assert said == {"a": {"sha256": hashlib.sha256(b"one").hexdigest()}}
    request = Request("GET", "/geo/series/GSE152nnn/GSE152805/suppl/GSE152805_RAW.tar", {}, {})
    request.headers["host"] = "ftp.ncbi.nlm.nih.gov"
    assert world.answer(request, b"").status == 200
    assert [[what.__name__ for what in one.what] for one in trouble.all] == [["reset", "closed"]]


def test_the_portal_signs_anew_and_only_the_newest_signature_is_good() -> None:
    world, trouble = World(), Troubles()
    source = {"kind": "scp", "study": "SCP1", "files": {"a": {"name": "a.h5ad"}}}
    publish(source, {"a": b"one"}, world, trouble)

    def address() -> str:
        query = {"auth_code": services.CODE}
        path = "/single_cell/api/v1/bulk_download/generate_curl_config"
        text = world.answer(Request("GET", path, query, {"host": services.PORTAL}), b"").body.decode()
        return scp.parse(text)["a.h5ad"][0]

    def status(url: str) -> int:
        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        return world.answer(Request("GET", parts.path, query, {"host": services.BUCKET}), b"").status

    first, second = address(), address()
    assert first.partition("?")[0] == second.partition("?")[0]
    assert (status(first), status(second)) == (400, 200)


def test_all_sources_have_a_kind_that_can_be_published() -> None:
    from rehearsal.publish import KINDS

    kinds = {path.stem for path in Path("genept/downloads/hosts").glob("[!_]*.py")}
    assert kinds - {"local"} == set(KINDS)


@pytest.mark.parametrize("name", ["bones", "myeloid"])
def test_equal_seeds_give_equal_files(name: str) -> None:
    def made(seed: int) -> dict[str, bytes]:
        return datasets.MAKERS[name](datasets.Kit(PANEL, {}, {}, seed))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_types_have_more_of_their_own_genes() -> None:
    types = ["x", "y"] * 20
    found = simulate.counts(types, ["p"] * 40, PANEL, {"x": ["GENE1"]}, seed=0)
    own = found[:, PANEL.symbols.index("GENE1")]
    assert own[::2].mean() > 5 * own[1::2].mean()
    assert (np.array(simulate.barcodes(30, 0)) == np.array(simulate.barcodes(30, 0))).all()


def test_the_key_is_found_in_a_file_and_in_an_object_of_git(tmp_path: Path) -> None:
    import subprocess

    clone = tmp_path / "clone"
    clone.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    assert checks.leaks(clone, "sk-secret") == []
    (clone / "a").write_text("key: sk-secret")
    subprocess.run(["git", "hash-object", "-w", "a"], cwd=clone, check=True, capture_output=True)
    assert checks.leaks(clone, "sk-secret") == ["clone/a: holds the API key", "an object of git holds the API key"]


@pytest.mark.parametrize(("confirm", "kind"), [("", "text/html; charset=utf-8"), ("t", "application/octet-stream")])
def test_drive_warns_of_viruses_before_a_large_file(confirm: str, kind: str) -> None:
    world = World()
    world.drive["id"] = ("file.h5ad", CONTENT)
    query: dict[str, Any] = {"id": "id", **({"confirm": confirm} if confirm else {})}
    found = world.answer(Request("GET", "/download", query, {"host": services.DRIVE_FILES}), b"")
    assert found.headers["Content-Type"] == kind

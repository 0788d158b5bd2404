"""The page before a run: what is there, what is not and what to do; nothing is downloaded for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genept.core import compute
from genept.downloads import preflight
from genept.downloads.preflight import Finding, Key, Plan
from tests.downloads.fetching import STORE
from tests.downloads.loopback import Web
from tests.downloads.test_stage import invoke, write

SENTENCES = {
    "title": "S",
    "engine": "genept_s",
    "embed": {"encoder": "openai", "openai": {"model": "text-embedding-ada-002", "usd_per_million_tokens": 0.2}},
}


def check(*arguments: str, exit_code: int = 0) -> str:
    """Return the page, of which no line is wider than a screen."""
    result = invoke("check", *arguments)
    assert result.exit_code == exit_code, result.output
    page = result.stdout
    assert max(map(len, page.splitlines())) <= 80
    assert "Traceback" not in result.output and result.stderr.count("\n") == (1 if exit_code else 0)
    return page + result.stderr


def row(page: str, *words: str) -> bool:
    return any(line.split()[-len(words) :] == list(words) for line in page.splitlines())


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "workers", lambda device: ["cpu"])  # without torch, whose import takes seconds
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "SCP_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_addresses_are_asked_for_one_byte_and_stored_files_not_at_all(web: Web) -> None:
    write(web, {"reference": {"source": None}})
    web.put("/a", b"a" * 600_000)
    page = check()
    assert row(page, "demo", "a", "answers,", "0.6", "MB") and "Nothing is missing." in page
    assert web.ranges == ["bytes=0-0"] * 2 and web.server.n_bytes == 2  # of the dataset and the model: one file
    assert not [path for path in STORE.rglob("*") if path.is_file()] and not Path("data/demo").exists()
    invoke("dataset", "demo")
    invoke("model", "m")
    web.forget()
    assert row(check(), "demo", "a", "in", "the", "store")
    assert not web.server.requests


@pytest.mark.parametrize(
    ("how", "state", "text"),
    [
        ({"status": 404}, "not there", "it answered 404 (Not Found); there is no such thing; correct it"),
        ({"status": 503}, "cannot be had", "it answered 503 (Service Unavailable); run again"),
        ({"headers": {"Content-Type": "text/html"}}, "cannot be had", "it answered with a web page, not the file"),
    ],
)
def test_a_dead_address_is_a_line_with_what_to_do(web: Web, how: dict[str, Any], state: str, text: str) -> None:
    write(web, {"reference": {"source": None}})
    web.put("/a", b"a", **how)
    page = check(exit_code=1)
    assert row(page, "demo", "a", *state.split())
    assert text in " ".join(page.split())
    assert "Error: missing for the run: " in page


def test_the_fallback_counts_where_a_file_is_gone(web: Web) -> None:
    dataset = {"title": "D", "note": "", "obs": {"cell_type": "kind"}}
    there = {"kind": "http", "files": {"raw.h5ad": {"url": web.put("/b", b"b")}}}
    gone = {"kind": "http", "files": {"raw.h5ad": {"url": f"{web.url}/gone"}}}
    change = {"dataset": {"source": gone, "fallback": {**dataset, "source": there}}, "model": {"source": None}}
    write(web, {**change, "reference": {"source": None}})
    page = check()
    assert row(page, "gone", "gone:", "see", "fallback") and row(page, "b", "answers,", "0.0", "MB")
    web.put("/b", status=403)
    assert "demo.fallback: it answered 403" in check(exit_code=1)


def test_files_of_ones_own_are_there_missing_or_optional(web: Web) -> None:
    local = {
        "kind": "local",
        "files": {"raw.h5ad": {"path": "mine.h5ad"}, "l.csv": {"path": "l.csv", "optional": True}},
    }
    write(web, {"reference": {"source": None}, "dataset": {"source": local}, "model": {"source": None}})
    page = check(exit_code=1)
    assert "mine.h5ad: no such file; put it there" in " ".join(page.split())
    assert row(page, "l.csv", "not", "there,", "not", "needed")
    Path("mine.h5ad").write_bytes(b"1")
    assert row(check(), "mine.h5ad", "on", "this", "machine")


def test_a_key_that_is_needed_is_asked_for_and_never_shown(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    write(web, {"reference": {"source": None}, "grid": {"models": {"custom": [], "genept_s": ["m"]}}})
    Path("models/m.yaml").write_text(json.dumps(SENTENCES))
    page = check(exit_code=1)
    assert "Error: missing for the run: OPENAI_API_KEY is not set (for m): export OPENAI_API_KEY=...\n" in page
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    page = check()
    assert "OPENAI_API_KEY  set; for m\n" in page and "secret" not in page
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")  # a server of one's own wants no key
    assert "OPENAI_API_KEY  not set; for m\n" in check()


def test_another_grid_is_checked_by_its_name(web: Web) -> None:
    write(web, {})
    params = json.loads(Path("params.yaml").read_text())
    params["grids"] = {"other": {**params["grid"], "models": {"custom": ["m"], "genept_w": ["n"]}}}
    Path("params.yaml").write_text(json.dumps(params))
    for kind in ("yaml", "py"):
        Path(f"models/n.{kind}").write_text(Path(f"models/m.{kind}").read_text())
    assert check("other").startswith("What a run of 1 datasets and 2 models will need")
    assert "no grid 'othr'; did you mean 'other'? Known: other" in invoke("check", "othr").output


def test_estimates_by_hand() -> None:
    found = [
        Finding("data/a", "x.h5ad", preflight.ANSWERS, 2 * 10**9),
        Finding("data/b", "y.tar", preflight.ANSWERS, 10**9, is_archive=True),
        Finding("data/b", "z", preflight.ANSWERS),
    ]
    plan = Plan(
        "T", [Key("K_1", "for b", False)], [], {"a": 900_000, "b": 100_000, "c": None}, 5, 14, ["n"], {"s": 0.1}, ""
    )
    # twice: 2 GB, an archive of 1 GB and 5 GB out of it, and a million cells in 14 embeddings of 4,096 bytes a cell
    page, missing = preflight.page(plan, found, free=131 * 10**9)
    page = " ".join(page.split())
    assert "130.7 GB needed by estimate, 131.0 GB free; 1 files do not say their size" in page and not missing
    # 3.5e9 tokens at a million a minute, 3 GB at 10 MB/s, 0.3 s a cell and network, 0.01 s a cell and model
    for text in ("assumed) 58.3", "MB/s, assumed) 0.1", "two cores) 83.3", "two cores) 13.9"):
        assert text in page
    assert "about 350 dollars: 1,000,000 sentences of 3,500 tokens, s (0.1 dollars a million tokens)" in page
    assert preflight.page(plan, found, free=130 * 10**9)[1][0].startswith("space on the disk: 130.7 GB needed")

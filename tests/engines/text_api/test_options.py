"""The entry in params.yaml: what it leaves out, and what it may not hold."""

from __future__ import annotations

from typing import Any

import pytest

from genept.core.errors import ParamsError
from genept.engines.encoder.api import options


def test_the_default_is_the_authors_encoder_at_its_price() -> None:
    found = options.read(None)
    assert found == options.Options(
        model="text-embedding-ada-002",
        base_url="https://api.openai.com/v1",
        host="api.openai.com",
        dimensions=None,
        max_usd=20,
        usd_per_million_tokens=0.1,
        concurrency=8,
        batch_size=64,
        max_tokens=8191,
    )


def test_the_entry_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert options.read({}).host == "localhost:1234"
    assert options.read({"base_url": "https://Example.org:443/v1"}).host == "example.org"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("http://localhost:8000/v1", "localhost:8000"),
        ("http://LOCALHOST:80", "localhost"),
        ("https://localhost:80", "localhost:80"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_a_server_is_its_host_and_port(base_url: str, host: str) -> None:
    assert options.host_of(base_url) == host


@pytest.mark.parametrize("base_url", [5, "", "localhost:8000", "ftp://example.org", "http://", "http://a:port"])
def test_what_is_no_address_is_said(base_url: Any) -> None:
    with pytest.raises(ParamsError, match="must look like http://localhost:8000/v1"):
        options.host_of(base_url)


@pytest.mark.parametrize(
    "base_url", ["https://me:secret@example.org/v1", "https://secret@example.org", "https://example.org/v1?key=secret"]
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(base_url: str) -> None:
    with pytest.raises(ParamsError, match="must hold no user, password or query") as caught:
        options.read({"base_url": base_url})
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["api_key", "key", "OPENAI_API_KEY", "token"])
def test_a_key_in_params_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ParamsError, match="read from OPENAI_API_KEY only") as caught:
        options.read({name: "secret"})
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("ada", "openai must be a mapping"),
        ({"modle": "x"}, "openai has no 'modle'; did you mean 'model'"),
        ({"model": ""}, "openai.model must be a model's name, got ''"),
        ({"model": "text-embedding-3-large"}, "say what text-embedding-3-large costs"),
        ({"dimensions": 0}, "openai.dimensions must be a whole number, 1 or more, got 0"),
        ({"concurrency": 65}, "openai.concurrency must be a whole number, 1 to 64, got 65"),
        ({"batch_size": 2049}, "openai.batch_size must be a whole number, 1 to 2048, got 2049"),
        ({"batch_size": True}, "openai.batch_size must be a whole number"),
        ({"max_tokens": None}, "openai.max_tokens must be a whole number"),
        ({"max_usd": -1}, "openai.max_usd must be a number of dollars, 0 or more, got -1"),
        ({"max_usd": float("nan")}, "openai.max_usd must be a number of dollars"),
        ({"usd_per_million_tokens": "0.1"}, "openai.usd_per_million_tokens must be a number of dollars"),
    ],
)
def test_what_makes_no_sense_is_said(entry: Any, message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        options.read(entry)
    assert message in caught.value.message and "\n" not in caught.value.message


def test_another_model_needs_its_price_and_zero_is_one() -> None:
    assert options.read({"model": "bge-m3", "usd_per_million_tokens": 0}).usd_per_million_tokens == 0

"""The settings of an encoder in a model's file."""

from __future__ import annotations

from typing import Any

import pytest

from genept.core.errors import ParamsError
from genept.engines.encoder.openai import OpenAIEncoder
from genept.engines.encoder.settings import EncoderConfig, OpenAI, host_of


def test_the_file_goes_before_the_environment(no_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OpenAIEncoder(OpenAI()).host == "api.openai.com"
    assert (OpenAI().model, OpenAI().price, OpenAI().max_tokens) == ("text-embedding-ada-002", 0.1, 8191)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert OpenAIEncoder(OpenAI()).host == "localhost:1234"
    assert OpenAIEncoder(OpenAI(base_url="https://Example.org:443/v1")).host == "example.org"


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
    assert host_of(base_url) == host


ADDRESS = "openai.base_url: an address of a server looks like http://localhost:8000/v1"
SECRET = "openai.base_url: no user, password or query in a server's address"
KEY = "a key is read from the environment variable OPENAI_API_KEY only; remove it"


@pytest.mark.parametrize(
    ("openai", "message"),
    [
        *(({"base_url": url}, ADDRESS) for url in ("", "localhost:8000", "ftp://example.org", "http://", "http://a:b")),
        *(
            ({"base_url": url}, SECRET)
            for url in ("https://me:secret@example.org/v1", "https://secret@a.org", "https://a.org/v1?key=secret")
        ),
        *(({name: "secret"}, f"openai: {name}: {KEY}") for name in ("api_key", "key", "OPENAI_API_KEY", "token")),
        ({"modle": "x"}, "openai: no setting 'modle'; did you mean 'model'"),
        ({"model": " "}, "openai.model: "),
        (
            {"model": "text-embedding-3-large"},
            "openai: usd_per_million_tokens: set the price of text-embedding-3-large",
        ),
        ({"batch_size": 2049}, "openai.batch_size: should be less than or equal to 2048, got 2049"),
        ({"max_usd": float("nan")}, "openai.max_usd: should be a finite number"),
    ],
)
def test_what_makes_no_sense_is_one_line_without_secrets(openai: Any, message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        EncoderConfig.parse({"encoder": "openai", "openai": openai}, "models/ada.yaml")
    assert caught.value.message.startswith(f"models/ada.yaml: {message}")
    assert "\n" not in caught.value.message and "secret" not in caught.value.message

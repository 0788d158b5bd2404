"""The settings of an encoder, counting tokens without downloading anything, cutting a sentence behind a symbol."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import ParamsError
from genept.engines.encoder import paid
from genept.engines.encoder.openai import OpenAIEncoder
from genept.engines.encoder.settings import EncoderConfig, OpenAI, host_of

ADA = "text-embedding-ada-002"
symbols = st.lists(st.text("ABCDEFG-0123456789µ", min_size=1, max_size=12), max_size=40)


def two_a_token(text: str) -> int:
    """A tokenizer that merges some bytes of every word."""
    return sum((len(word.encode()) + 1) // 2 for word in text.split())


@given(symbols, st.integers(1, 300), st.sampled_from([paid.n_bytes, two_a_token]))
def test_a_cut_text_has_as_many_whole_words_as_fit(names: list[str], max_tokens: int, count: Any) -> None:
    text = " ".join(names)
    beginnings = ["", *(" ".join(names[:k]) for k in range(1, len(names) + 1))]
    fitting = [beginning for beginning in beginnings if count(beginning) <= max_tokens]
    assert paid.cut(text, max_tokens, count) == fitting[-1]


def test_tiktoken_counts_if_its_table_is_here_and_else_bytes_bound_the_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    encoding = SimpleNamespace(encode_ordinary=str.split)
    names = {ADA: "cl100k_base", "gpt-4o": "o200k_base"}
    module = SimpleNamespace(encoding_name_for_model=names.__getitem__, get_encoding={"cl100k_base": encoding}.get)
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    bound = paid.counter(ADA)
    assert (bound.name, bound.exact, bound.count("CD19 µ")) == ("bytes", False, 7)
    paid.table_path().touch()
    exact = paid.counter(ADA)
    assert (exact.name, exact.exact, exact.count("CD19 B2M")) == ("cl100k_base", True, 2)
    assert not paid.counter("gpt-4o").exact and not paid.counter("bge-m3").exact
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert not paid.counter(ADA).exact


def test_the_table_is_looked_for_where_tiktoken_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    load = pytest.importorskip("tiktoken.load", reason="the package tiktoken is not installed (`pip install tiktoken`)")
    import tiktoken
    from tiktoken_ext import openai_public

    asked: list[str] = []

    def read_file_cached(address: str, expected_hash: str) -> bytes:
        asked.append(address)
        return b""

    monkeypatch.setattr(load, "read_file_cached", read_file_cached)
    openai_public.cl100k_base()
    assert asked == [paid.TABLE_ADDRESS]
    for model in (ADA, "text-embedding-3-small", "text-embedding-3-large"):
        assert tiktoken.encoding_name_for_model(model) == paid.TABLE


def test_the_file_goes_before_the_environment(no_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OpenAIEncoder(OpenAI()).host == "api.openai.com"
    assert (OpenAI().model, OpenAI().price, OpenAI().max_tokens) == ("text-embedding-ada-002", 0.1, 8191)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert OpenAIEncoder(OpenAI()).host == "localhost:1234"
    assert OpenAIEncoder(OpenAI(base_url="https://Example.org:443/v1")).host == "example.org"
    assert host_of("http://LOCALHOST:80") == "localhost" and host_of("https://localhost:80") == "localhost:80"
    assert host_of("http://[::1]:8000/v1") == "[::1]:8000"


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
        ({"max_usd": float("nan")}, "openai.max_usd: should be a number up to"),
    ],
)
def test_what_makes_no_sense_is_one_line_without_secrets(openai: Any, message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        EncoderConfig.parse({"encoder": "openai", "openai": openai}, "models/ada.yaml")
    assert caught.value.message.startswith(f"models/ada.yaml: {message}")
    assert "\n" not in caught.value.message and "secret" not in caught.value.message

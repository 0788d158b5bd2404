"""Texts through a real server on this machine: the right vectors, none paid for twice, one line for all that fails."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.engines.encoder import openai
from genept.engines.encoder.encoder import Encoded
from genept.engines.encoder.openai import OpenAIEncoder
from genept.engines.encoder.paid import CACHE
from genept.engines.encoder.settings import OpenAI
from tests import helpers
from tests.downloads.loopback import serving
from tests.engines.encoder.service import N_DIMENSIONS, Service, failing, n_tokens, saying, vector

TEXTS = [f"A cell with genes ranked by expression: CD{i} HLA-A B2M" for i in range(40)]
KEY = "sk-made-up-0123456789abcdef"


def encode(service: Service, texts: list[str] = TEXTS, **changes: Any) -> Encoded:
    return OpenAIEncoder(OpenAI(**{"base_url": service.url, "batch_size": 4, "max_usd": 1, **changes})).encode(texts)


def expected(texts: list[str] = TEXTS, n_dimensions: int = N_DIMENSIONS) -> np.ndarray:
    return np.stack([vector(text, n_dimensions) for text in texts])


def error_of(service: Service, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        encode(service, **changes)
    assert "\n" not in caught.value.message and KEY not in caught.value.message
    return caught.value.message


# Vectors


@pytest.mark.parametrize(("concurrency", "batch_size"), [(1, 64), (8, 4), (8, 7)])
def test_vectors_are_the_servers_whatever_the_batches(service: Service, concurrency: int, batch_size: int) -> None:
    found = encode(service, concurrency=concurrency, batch_size=batch_size)
    np.testing.assert_array_equal(found.vectors, expected())
    assert found.vectors.dtype == np.float32
    assert max(len(body["input"]) for body in service.bodies) == min(batch_size, 40)
    assert service.most_under_way <= concurrency
    assert found.n_characters.tolist() == found.n_tokens.tolist() == list(map(len, TEXTS))
    assert not found.truncated.any()
    again = encode(service, [TEXTS[5], TEXTS[0], "CD4", "CD4"])  # another order, equal texts
    np.testing.assert_array_equal(again.vectors, expected([TEXTS[5], TEXTS[0], "CD4", "CD4"]))
    assert service.served == Counter([*TEXTS, "CD4"])
    assert len(encode(service, []).vectors) == 0


def test_a_text_that_is_too_long_is_cut_behind_a_word(service: Service) -> None:
    found = encode(service, ["TP53 is long", "MYC"], max_tokens=8)
    np.testing.assert_array_equal(found.vectors, expected(["TP53 is", "MYC"]))
    assert found.truncated.tolist() == [True, False] and found.n_characters.tolist() == [7, 3]
    assert "2 texts are empty, or no word of them fits" in error_of(service, texts=["", "MYC", "longer"], max_tokens=3)


@given(st.lists(st.integers(1, 120_000), max_size=40), st.integers(1, 9))
def test_requests_hold_all_texts_in_order_within_both_limits(n_tokens: list[int], batch_size: int) -> None:
    texts = [openai.Text(b"", str(i), n) for i, n in enumerate(n_tokens)]
    found = list(openai.batches(texts, batch_size))
    assert [text for batch in found for text in batch] == texts
    followers: list[list[openai.Text]] = [*found[1:], []]
    for batch, following in zip(found, followers, strict=False):
        total = sum(text.n_tokens for text in batch)
        assert 1 <= len(batch) <= batch_size and total <= openai.MAX_TOKENS_PER_REQUEST
        full = len(batch) == batch_size or not following
        assert full or total + following[0].n_tokens > openai.MAX_TOKENS_PER_REQUEST


def test_a_server_that_knows_no_base64_is_asked_for_numbers(service: Service) -> None:
    service.only_float = True
    np.testing.assert_array_equal(encode(service, concurrency=1).vectors, expected())
    assert [body["encoding_format"] for body in service.bodies] == ["base64"] + ["float"] * 10


# What was paid for


def test_cached_vectors_need_no_key_no_package_and_no_server(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode(service, TEXTS[:30])
    found = encode(service)
    assert found.notes["cached_share"] == 0.75
    assert found.notes["tokens_sent"] == sum(map(n_tokens, TEXTS[30:]))
    assert service.served == Counter(TEXTS)
    monkeypatch.setitem(sys.modules, "openai", None)
    capsys.readouterr()
    again = encode(service)
    np.testing.assert_array_equal(again.vectors, expected())
    assert again.notes["cached_share"] == 1 and again.notes["tokens_sent"] == 0 and again.notes["usd"] == 0
    assert capsys.readouterr().out.endswith("40 texts, 40 of them cached; nothing is sent\n")


def test_another_model_server_or_number_of_dimensions_is_another_vector(service: Service) -> None:
    encode(service, TEXTS[:2])
    np.testing.assert_array_equal(encode(service, TEXTS[:2], dimensions=5).vectors, expected(TEXTS[:2], 5))
    service.model = "other/model"
    encode(service, TEXTS[:2], model="other/model", usd_per_million_tokens=0)
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    encode(service, TEXTS[:2], model="other/model", usd_per_million_tokens=0, base_url=elsewhere)
    assert service.served == Counter(dict.fromkeys(TEXTS[:2], 4))


CHILD = """
import signal, sys
from genept.engines.encoder.openai import OpenAIEncoder
from genept.engines.encoder.settings import OpenAI
def interrupt(*_):
    print("interrupted", flush=True)
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
OpenAIEncoder(OpenAI(base_url=sys.argv[1], batch_size=1, concurrency=4)).encode(sys.stdin.read().splitlines())
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_stopped(service: Service, by: signal.Signals) -> None:
    service.n_free, service.n_held = 12, 4
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-c", CHILD, service.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write("\n".join(TEXTS))
        child.stdin.close()
        assert child.stdout.readline()  # the cost
        service.full.wait()  # 12 texts are answered, and each of the four threads has sent another one
        child.send_signal(by)
        if by == signal.SIGINT:
            assert child.stdout.readline() == "interrupted\n"
            service.gate.set()
        child.wait()
    service.gate.set()
    assert child.returncode != 0
    found = encode(service)
    np.testing.assert_array_equal(found.vectors, expected())
    if by == signal.SIGINT:  # requests under way were waited for
        assert service.served == Counter(TEXTS)
    else:
        assert found.notes["cached_share"] == 12 / 40


def test_a_damaged_cache_is_one_line_and_no_pickle_in_it_is_loaded(service: Service) -> None:
    encode(service, TEXTS[:1])
    with sqlite3.connect(CACHE / "cache.db") as connection:
        connection.execute(f"UPDATE Cache SET mode = {diskcache.core.MODE_PICKLE}")
    assert "the cache of paid vectors is damaged or locked (a value is no vector)" in error_of(service, texts=TEXTS[:1])
    (CACHE / "cache.db").write_bytes(b"nothing " * 1000)
    for journal in CACHE.glob("cache.db-*"):
        journal.unlink()
    assert "the cache of paid vectors is damaged or locked (file is not a database)" in error_of(service)
    assert len(service.bodies) == 1


# What it costs


def test_a_line_says_before_the_first_request_what_it_may_cost_and_too_much_sends_nothing(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is more than max_usd 0.001; " in error_of(service, usd_per_million_tokens=10, max_usd=0.001)
    assert not service.bodies
    capsys.readouterr()
    encode(service, TEXTS[:10])
    n_bytes = sum(map(len, TEXTS[:10]))
    host = service.url.removeprefix("http://").removesuffix("/v1")
    assert capsys.readouterr().out == (
        f"text-embedding-ada-002 at {host}: 10 texts, 0 of them cached; 10 to send, at most {n_bytes} tokens "
        f"(a token a byte; tiktoken or its table is not installed), at most ${n_bytes * 0.1 / 1e6:.4f}\n"
    )


def test_a_run_stops_where_the_servers_count_would_exceed_the_limit(service: Service) -> None:
    service.count = lambda text: 1000
    estimate = sum(map(len, TEXTS)) / 1e6
    message = error_of(service, usd_per_million_tokens=1, max_usd=2 * estimate, concurrency=1)
    assert "the next texts could cost more than max_usd" in message
    n_served = sum(service.served.values())
    assert 0 < n_served < 40 and n_served * 1000 / 1e6 <= 2 * estimate + 4 * 1000 / 1e6
    np.testing.assert_array_equal(encode(service, usd_per_million_tokens=1).vectors, expected())
    assert service.served == Counter(TEXTS)


# Busy and broken servers


@pytest.mark.parametrize("counts", [True, False])
def test_a_busy_server_is_asked_again_and_only_answers_are_charged(service: Service, counts: bool) -> None:
    service.count = n_tokens if counts else lambda text: None  # then the estimate is charged
    service.moods.extend(map(failing, (408, 429, 503)))
    found = encode(service)
    np.testing.assert_array_equal(found.vectors, expected())
    assert found.notes["tokens_sent"] == sum(map(n_tokens if counts else len, TEXTS))
    assert service.served == Counter(TEXTS)


def test_a_server_that_stays_busy_is_given_up_and_what_arrived_is_kept(service: Service) -> None:
    service.moods.extend([lambda _: None, *[failing(429, "slow down")] * (openai.MAX_RETRIES + 1)])
    assert "answered 429 again and again: slow down; run again later" in error_of(service, concurrency=1)
    assert sum(service.served.values()) == 4 and len(service.bodies) == openai.MAX_RETRIES + 2
    encode(service)
    assert service.served == Counter(TEXTS)


def test_a_server_that_is_not_there_is_one_line(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "MAX_RETRIES", 0)
    with serving(service.answer) as gone:
        url = gone.address
    assert "not reachable (" in error_of(service, base_url=url)
    assert "no-such-host.invalid: not reachable (" in error_of(service, base_url="http://no-such-host.invalid/v1")


def rows(*embeddings: Any, first: int = 0) -> bytes:
    data = [{"index": first + i, "embedding": embedding} for i, embedding in enumerate(embeddings)]
    return json.dumps({"object": "list", "data": data}).encode()


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        (failing(401, f"Incorrect API key provided: {KEY}"), "OPENAI_API_KEY is refused (401)"),
        (failing(403, f"{KEY} is of another country"), "may not use text-embedding-ada-002 from here (403): *** is"),
        (failing(404, "gone"), "no model text-embedding-ada-002 there, or base_url lacks its /v1 (404): gone"),
        (failing(400, "maximum context length is 8192"), "refused the texts (400): maximum context length"),
        (saying(b"<!DOCTYPE html><title>Log in</title>", "text/html"), "not 2 vectors ("),
        (saying(b'{"data": '), "not 2 vectors ("),
        (saying(b'{"data": [1, 2]}'), "not 2 vectors ("),
        (saying(rows([1, 2])), "1 vectors, or not numbered from 0"),
        (saying(rows([1, 2], [3, 4], first=1)), "2 vectors, or not numbered from 0"),
        (saying(rows([1, 2], [3])), "not 2 vectors ("),
        (saying(rows([], [])), "vectors of shape (2, 0)"),
        (saying(rows([1, float("nan")], [1, 2])), "NaN or infinite"),
        (saying(rows("AA==", "AA==")), "not 2 vectors ("),
        (saying(rows([1, 2, 3], [4, 5, 6])), "not 2 vectors (3 dimensions, not the 2 of openai.dimensions)"),
    ],
)
def test_what_waiting_does_not_mend_stops_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, mood: Any, message: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    service.moods.append(mood)
    assert message in error_of(service, concurrency=1, batch_size=2, dimensions=2)
    assert len(service.bodies) == 1


# Secrets


def test_the_key_is_sent_if_there_is_one_and_no_header_without(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"^api\.openai\.com: OPENAI_API_KEY is not set"):
        OpenAIEncoder(OpenAI()).encode(TEXTS)
    encode(service, TEXTS[:1])
    service.key = KEY
    assert "OPENAI_API_KEY is not set, and the server asks for a key (401)" in error_of(service, texts=TEXTS[1:2])
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")  # as read from a file
    encode(service, TEXTS[1:2])
    assert service.authorizations == [None, None, f"Bearer {KEY}"]
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    assert "OPENAI_API_KEY holds a blank" in error_of(service, texts=TEXTS[2:3])


def test_the_server_may_be_named_by_the_environment_and_without_v1(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", service.url.removesuffix("/v1"))
    np.testing.assert_array_equal(encode(service, base_url=None).vectors, expected())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@localhost/v1")
    message = error_of(service, base_url=None)
    assert message.startswith("OPENAI_BASE_URL: no user, password or query") and "secret" not in message


def test_the_key_is_written_nowhere(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    service.key = KEY
    service.moods.append(failing(500, f"cannot digest {KEY}"))
    found = encode(service)
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err + json.dumps(found.notes)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]

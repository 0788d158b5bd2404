"""Texts through a real server on this machine: the right vectors, nothing sent twice, one line for all that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core.errors import InputError
from genept.engines.encoder.api import cache, encode, options, pace, server, tokens
from tests import helpers
from tests.engines.text_api.service import N_DIMENSIONS, Service, dying, failing, n_tokens, saying, vector

pytest.importorskip("openai", reason="the package openai is not installed (`pip install openai`)")

TEXTS = [f"A cell with genes ranked by expression: CD{i} HLA-A B2M" for i in range(40)]
KEY = "sk-made-up-0123456789abcdef"


def embed(service: Service, texts: list[str] = TEXTS, **entry: Any) -> encode.Encoded:
    chosen = options.read({"base_url": service.url, "batch_size": 4, "max_usd": 1, **entry})
    return encode.encode(texts, chosen, tokens.counter(chosen.model))


def expected(texts: list[str] = TEXTS, n_dimensions: int = N_DIMENSIONS) -> np.ndarray:
    return np.stack([vector(text, n_dimensions) for text in texts])


def error_of(service: Service, **entry: Any) -> str:
    with pytest.raises(InputError) as caught:
        embed(service, **entry)
    assert "\n" not in caught.value.message and KEY not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(("concurrency", "batch_size"), [(1, 1), (1, 64), (8, 4), (8, 7)])
def test_vectors_are_the_servers_whatever_the_batches(service: Service, concurrency: int, batch_size: int) -> None:
    service.delay = lambda body: 0.02 if TEXTS[0] in body["input"] else 0.0
    found = embed(service, concurrency=concurrency, batch_size=batch_size)
    np.testing.assert_array_equal(found.vectors, expected())
    assert found.vectors.dtype == np.float32
    assert max(len(body["input"]) for body in service.bodies) == min(batch_size, 40)
    assert service.most_under_way <= concurrency


def test_answers_out_of_order_and_texts_in_another_order_change_nothing(service: Service) -> None:
    delays = iter(np.random.default_rng(0).permutation(10) / 200)
    service.delay = lambda body: float(next(delays))
    np.testing.assert_array_equal(embed(service).vectors, expected())
    assert service.most_under_way > 1
    shuffled = [TEXTS[i] for i in np.random.default_rng(1).permutation(40)]
    np.testing.assert_array_equal(embed(service, shuffled, batch_size=3).vectors, expected(shuffled))
    assert set(service.served.values()) == {1}


def test_equal_texts_are_sent_once(service: Service) -> None:
    texts = [TEXTS[0], TEXTS[1], TEXTS[0]]
    np.testing.assert_array_equal(embed(service, texts).vectors, expected(texts))
    assert service.served == Counter(TEXTS[:2])


def test_what_is_kept_needs_no_key_no_package_and_no_server(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(service, TEXTS[:30])
    found = embed(service)
    assert found.notes["cached_share"] == 0.75
    assert found.notes["tokens_sent"] == sum(map(n_tokens, TEXTS[30:]))
    assert set(service.served.values()) == {1}
    monkeypatch.setattr(server, "import_openai", lambda: pytest.fail("imported"))
    capsys.readouterr()
    again = embed(service)
    np.testing.assert_array_equal(again.vectors, expected())
    assert again.notes["cached_share"] == 1 and again.notes["tokens_sent"] == 0 and again.notes["usd"] == 0
    assert capsys.readouterr().out.endswith("40 texts, 40 of them cached; nothing is sent\n")


def test_another_model_server_or_number_of_dimensions_is_another_vector(service: Service) -> None:
    embed(service, TEXTS[:2])
    found = embed(service, TEXTS[:2], dimensions=5)
    np.testing.assert_array_equal(found.vectors, expected(TEXTS[:2], 5))
    service.model = "other/model"
    embed(service, TEXTS[:2], model="other/model", usd_per_million_tokens=0)
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    embed(service, TEXTS[:2], model="other/model", usd_per_million_tokens=0, base_url=elsewhere)
    assert service.served == Counter(dict.fromkeys(TEXTS[:2], 4))
    assert sorted(path.name for path in cache.ROOT.iterdir()) == ["other_model", "text-embedding-ada-002"]


def test_a_line_says_before_the_first_call_what_it_may_cost(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(service, TEXTS[:10])
    n_bytes = sum(map(len, TEXTS[:10]))
    host = service.url.removeprefix("http://").removesuffix("/v1")
    assert capsys.readouterr().out == (
        f"text-embedding-ada-002 at {host}: 10 texts, 0 of them cached; 10 to send, at most {n_bytes} tokens "
        f"(a token a byte; tiktoken or its table is not here), at most ${n_bytes * 0.1 / 1e6:.4f}\n"
    )


def test_nothing_is_sent_if_it_may_cost_too_much(service: Service) -> None:
    assert "is more than max_usd 0.001; " in error_of(service, usd_per_million_tokens=10, max_usd=0.001)
    assert not service.bodies


def test_a_run_stops_where_the_servers_count_would_exceed_the_limit(service: Service) -> None:
    service.count = lambda text: 1000
    estimate = sum(map(len, TEXTS)) / 1e6
    message = error_of(service, usd_per_million_tokens=1, max_usd=2 * estimate, concurrency=1)
    assert "the next texts could cost more than max_usd" in message
    n_served = sum(service.served.values())
    assert 0 < n_served < 40 and n_served * 1000 / 1e6 <= 2 * estimate + 4 * 1000 / 1e6
    found = embed(service, usd_per_million_tokens=1, max_usd=1)
    np.testing.assert_array_equal(found.vectors, expected())
    assert set(service.served.values()) == {1}


def test_a_server_that_counts_no_tokens_is_charged_by_the_estimate(service: Service) -> None:
    service.count = lambda text: None
    assert embed(service).notes["tokens_sent"] == sum(map(len, TEXTS))


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_busy_server_is_waited_for(service: Service, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    service.moods.extend([failing(status)] * 3)
    found = embed(service)
    np.testing.assert_array_equal(found.vectors, expected())
    assert f"answered {status}: busy; going on in 0.0 s" in capsys.readouterr().err
    assert found.notes["tokens_sent"] == sum(map(n_tokens, TEXTS)) and set(service.served.values()) == {1}


@pytest.mark.parametrize("headers", [{"Retry_After": "0.3"}, {"retry_after_ms": "300"}])
def test_the_server_says_how_long_and_all_requests_wait(service: Service, headers: dict[str, str]) -> None:
    service.moods.append(failing(429, **headers))
    started = time.monotonic()
    embed(service, concurrency=1)
    assert time.monotonic() - started >= 0.3


def test_a_wait_beyond_all_patience_is_said_and_what_came_is_kept(service: Service) -> None:
    service.moods.extend([lambda handler: False, failing(429, "slow down", Retry_After="86400")])
    message = error_of(service, concurrency=1)
    assert "answered 429: slow down, and asks to wait 86400 s; what came is kept" in message
    assert sum(service.served.values()) == 4
    embed(service)
    assert set(service.served.values()) == {1} and len(service.served) == 40


def test_a_server_that_stays_broken_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 0.1)
    service.moods.extend([failing(500)] * 1000)
    assert "answered 500: busy; what came is kept" in error_of(service)


def test_half_an_answer_is_none(service: Service) -> None:
    service.moods.extend([dying] * 2)
    np.testing.assert_array_equal(embed(service).vectors, expected())


def test_a_server_that_is_not_there_is_one_line(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PATIENCE_UNREACHABLE", 0.1)
    with Service() as gone:
        url = gone.url
    assert "not reachable (" in error_of(service, base_url=url)
    assert "no-such-host.invalid: not reachable (" in error_of(service, base_url="http://no-such-host.invalid/v1")


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        (failing(401, f"Incorrect API key provided: {KEY}"), r"refuses the key in OPENAI_API_KEY (401)"),
        (failing(403, f"{KEY} is of another country"), "may not use text-embedding-ada-002 from here (403): *** is"),
        (failing(404, "gone", "model_not_found"), "no model text-embedding-ada-002 there, or base_url"),
        (failing(400, "maximum context length is 8192"), "refused the texts (400): maximum context length"),
        (failing(429, "You exceeded your quota", "insufficient_quota"), "quota is used up (429): You exceeded"),
        (saying(b"<!DOCTYPE html><title>Log in</title>", "text/html"), "not 4 vectors (not JSON)"),
        (saying(b'{"data": []}'), "not 4 vectors (0 vectors, or not numbered from 0)"),
    ],
)
def test_what_waiting_does_not_mend_stops_with_one_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, mood: Any, message: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    service.moods.append(mood)
    assert message in error_of(service, concurrency=1)
    assert len(service.bodies) == 1


def test_the_key_is_sent_if_there_is_one_and_no_header_without(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(service, TEXTS[:1])
    service.key = KEY
    assert "asks for a key, and OPENAI_API_KEY is not set (401)" in error_of(service, texts=TEXTS[1:2])
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")  # as read from a file
    embed(service, TEXTS[1:2])
    assert service.authorizations == [None, None, f"Bearer {KEY}"]
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    assert "OPENAI_API_KEY holds a blank" in error_of(service, texts=TEXTS[2:3])


def test_openais_own_server_is_not_asked_without_a_key() -> None:
    chosen = options.read(None)
    with pytest.raises(InputError, match=r"^api\.openai\.com: OPENAI_API_KEY is not set"):
        encode.encode(TEXTS, chosen, tokens.counter(chosen.model))


def test_the_server_may_be_named_by_the_environment_and_without_v1(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", service.url.removesuffix("/v1"))
    np.testing.assert_array_equal(embed(service, base_url=None).vectors, expected())


def test_a_server_that_knows_no_base64_is_asked_for_numbers(service: Service) -> None:
    service.only_float = True
    np.testing.assert_array_equal(embed(service, concurrency=1).vectors, expected())
    assert [body["encoding_format"] for body in service.bodies] == ["base64"] + ["float"] * 10


def test_the_package_is_named_if_it_is_not_there(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    assert error_of(service) == "`encoder: openai` needs the package openai; run `pip install openai`"


def test_a_damaged_file_is_asked_for_again(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    embed(service)
    paths = sorted(cache.folder("text-embedding-ada-002").glob("*.npz"))
    assert len(paths) == 10
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    paths[1].write_bytes(b"")
    content = bytearray(paths[2].read_bytes())
    content[-400] ^= 1
    paths[2].write_bytes(content)
    np.testing.assert_array_equal(embed(service).vectors, expected())
    assert sorted(service.served.values()) == [1] * 28 + [2] * 12
    assert capsys.readouterr().err.count("damaged; what it held is asked for again") == 3


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job, and inherited
from genept.engines.encoder.api import encode, options, tokens
chosen = options.read({"base_url": sys.argv[1], "batch_size": 1, "concurrency": 4})
encode.encode(sys.stdin.read().splitlines(), chosen, tokens.counter(chosen.model))
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_stopped(service: Service, by: signal.Signals) -> None:
    enough = threading.Event()

    def delay(body: dict[str, Any]) -> float:
        if len(service.bodies) <= 12:
            return 0.02
        enough.set()
        return 0.5  # long enough for the signal to come before the last answer

    service.delay = delay
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    command = [sys.executable, "-c", CHILD, service.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as child:
        assert child.stdin is not None
        child.stdin.write("\n".join(TEXTS))
        child.stdin.close()
        while not enough.wait(0.05):
            assert child.poll() is None, child.communicate()
        child.send_signal(by)
        child.wait(30)
    n_before = sum(service.served.values())
    assert 8 <= n_before < 40
    service.delay = lambda body: 0.0
    np.testing.assert_array_equal(embed(service).vectors, expected())
    if by == signal.SIGINT:
        assert set(service.served.values()) == {1}
    else:  # requests under way were lost
        assert sum(service.served.values()) <= 44


def test_the_key_is_written_nowhere(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    service.key = KEY
    service.moods.append(failing(500, f"cannot digest {KEY}"))
    found = embed(service)
    said = capsys.readouterr()
    assert "cannot digest ***" in said.err
    assert KEY not in said.out + said.err + json.dumps(found.notes)
    assert not [path for path in project.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]

"""The parts that need no server: the cache, the budget, the pace, reading an answer."""

from __future__ import annotations

import base64
import email.utils
import math
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.engines.encoder.api import cache, encode, pace, server
from genept.engines.encoder.api.budget import Budget
from tests.engines.text_api.service import vector


@given(st.lists(st.tuples(st.text(), st.text(), st.none() | st.integers(1, 9), st.text()), unique=True, max_size=9))
def test_every_part_of_a_key_counts(parts: list[tuple[str, str, int | None, str]]) -> None:
    assert len({cache.key(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("model", "name"), [("BAAI/bge-m3", "BAAI_bge-m3"), ("..", "_."), ("../../x", "_._.._x"), ("a:b c", "a_b_c")]
)
def test_a_models_folder_lies_in_the_cache(model: str, name: str) -> None:
    assert cache.folder(model) == cache.ROOT / name


def test_the_cache_gives_what_was_written_and_only_that() -> None:
    keys = [cache.key("host", "model", None, str(i)) for i in range(6)]
    vectors = np.stack([vector(str(i)) for i in range(6)])
    folder = cache.folder("model")
    assert cache.read(folder, keys) == {}
    cache.write(folder, keys[:2], vectors[:2])
    cache.write(folder, keys[2:5], vectors[2:5])
    found = cache.read(folder, keys[1:])
    assert set(found) == set(keys[1:5])
    for i in range(1, 5):
        np.testing.assert_array_equal(found[keys[i]], vectors[i])


@given(st.lists(st.integers(1, 120_000), max_size=40), st.integers(1, 9))
def test_requests_hold_all_texts_in_order_within_both_limits(n_tokens: list[int], batch_size: int) -> None:
    texts = [encode.Text(b"", str(i), n) for i, n in enumerate(n_tokens)]
    found = list(encode.batches(texts, batch_size))
    assert [text for batch in found for text in batch] == texts
    followers: list[list[encode.Text]] = [*found[1:], []]
    for batch, following in zip(found, followers, strict=False):
        total = sum(text.n_tokens for text in batch)
        assert 1 <= len(batch) <= batch_size and total <= encode.MAX_TOKENS_PER_REQUEST
        full = len(batch) == batch_size or not following
        assert full or total + following[0].n_tokens > encode.MAX_TOKENS_PER_REQUEST


def test_a_budget_counts_what_is_under_way() -> None:
    budget = Budget(max_usd=1.0, usd_per_million_tokens=1.0)
    budget.reserve(600_000)
    with pytest.raises(InputError, match=r"stopped at 0 tokens by the server's count, \$0\.0000"):
        budget.reserve(500_000)
    budget.settle(600_000, 300_000)
    budget.reserve(700_000)
    budget.release(700_000)
    assert budget.n_tokens == 300_000


def test_a_budget_learns_that_the_server_counts_more() -> None:
    budget = Budget(max_usd=1.0, usd_per_million_tokens=1.0)
    budget.reserve(100_000)
    budget.settle(100_000, 400_000)
    budget.reserve(150_000)
    with pytest.raises(InputError, match=r"stopped at 400,000 tokens .* \$0\.4000"):
        budget.reserve(1)


def test_nobody_is_let_through_after_a_stop() -> None:
    held = pace.Pace("host")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "PATIENCE", 100.0)
        held.hold(pace.Busy("busy", delay=50.0), attempt=0)
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(pace.Stopped):
            held.wait()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    held.stop()
    thread.join(10)
    assert ended.is_set()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_a_wait_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert server.retry_after(headers) == seconds


def test_a_wait_may_be_a_date() -> None:
    seconds = server.retry_after({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert seconds is not None and 55 < seconds <= 60


def rows(vectors: np.ndarray) -> list[dict[str, Any]]:
    return [{"index": i, "embedding": row.tolist()} for i, row in enumerate(vectors)]


def test_an_answer_is_read_by_its_numbers_as_floats_or_base64() -> None:
    vectors = np.stack([vector(text) for text in "abc"])
    plain = rows(vectors)
    coded = [{**row, "embedding": base64.b64encode(vectors[row["index"]].tobytes()).decode()} for row in plain]
    for data in (plain, coded, plain[::-1], [coded[2], plain[0], coded[1]]):
        found = server.parse({"data": data, "usage": {"prompt_tokens": 5}}, 3, None)
        np.testing.assert_array_equal(found.vectors, vectors)
        assert found.vectors.dtype == np.float32 and found.n_tokens == 5
    unnumbered = [{"embedding": row["embedding"]} for row in plain]
    np.testing.assert_array_equal(server.parse({"data": unnumbered}, 3, 12).vectors, vectors)


@pytest.mark.parametrize(
    ("usage", "n_tokens"),
    [(None, None), ({}, None), ({"total_tokens": 3}, 3), ({"prompt_tokens": "3"}, None), ({"prompt_tokens": -3}, None)],
)
def test_a_count_is_used_if_it_is_one(usage: Any, n_tokens: int | None) -> None:
    assert server.parse({"data": rows(np.ones((1, 2))), "usage": usage}, 1, None).n_tokens == n_tokens


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rows(np.ones((1, 3))), "1 vectors, or not numbered"),
        (rows(np.ones((3, 3))), "3 vectors, or not numbered"),
        ([*rows(np.ones((1, 3))), {"index": 0, "embedding": [1.0]}], "not numbered"),
        ([{"index": 1.0, "embedding": [1]}, {"index": 0, "embedding": [1]}], "not numbered"),
        ([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}], "vectors of 1, 2 dimensions"),
        (rows(np.ones((2, 3))), "vectors of 3 dimensions"),
        (rows(np.array([[1, math.nan], [1, 2]])), "NaN or infinite"),
        ([{"index": 0, "embedding": "AA=="}, {"index": 1, "embedding": "AA=="}], "buffer size"),
        ([{"index": 0, "embedding": "?"}, {"index": 1, "embedding": "?"}], "base64"),
        ([{"index": 0}, {"index": 1}], "neither numbers nor base64"),
        ([{"index": 0, "embedding": []}, {"index": 1, "embedding": []}], "an empty vector"),
        ([1, 2], "no list"),
        (None, "no list"),
    ],
)
def test_an_answer_that_is_not_the_vectors_asked_for_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.parse({"data": data}, 2, 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["index", "embedding"]), inner),
    max_leaves=12,
)


@given(json_values, json_values)
def test_whatever_json_comes_it_is_an_answer_or_a_reason(data: Any, usage: Any) -> None:
    for body in (data, {"data": data, "usage": usage}):
        try:
            found = server.parse(body, 1, None)
        except ValueError:
            continue
        assert found.vectors.shape[0] == 1 and np.isfinite(found.vectors).all()

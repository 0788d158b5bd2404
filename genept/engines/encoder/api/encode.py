"""Vectors for many texts: from the cache, and the others from the server, several requests at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import click
import numpy as np

from genept.core.cli import progress_bar
from genept.core.errors import InputError
from genept.engines.encoder.api import cache, tokens
from genept.engines.encoder.api.budget import Budget
from genept.engines.encoder.api.options import Options
from genept.engines.encoder.api.pace import Busy, Pace, Stopped
from genept.engines.encoder.api.server import Server

MAX_TOKENS_PER_REQUEST = 300_000  # of the API


class Encoded(NamedTuple):
    """What `encode` returns."""

    vectors: np.ndarray  # (n_texts, n_dimensions), float32, as the server gave them
    notes: dict[str, Any]  # what was sent, what it cost


class Text(NamedTuple):
    """A text to send."""

    key: bytes
    text: str
    n_tokens: int  # estimated


def encode(texts: Sequence[str], options: Options, counter: tokens.Counter, label: str = "encoding") -> Encoded:
    """Return a vector for every text, in their order; neither order, batches nor concurrency changes one.

    Equal texts are sent once. Before the first request a line says what is sent and what it may cost. Every vector is
    kept as it arrives: after an error, Ctrl-C or a crash, the next run sends only what is lacking. On an error and on
    Ctrl-C, requests that are under way are waited for, because they are paid for.

    Parameters
    ----------
    texts
        At least one, none of them empty, each within the model's limit.
    counter
        Counts tokens for the estimate.
    label
        Stands before the progress bar.

    Raises
    ------
    InputError
        If it may cost more than ``max_usd``, or the server will not answer; see `Server` and `Pace`.
    """
    if not all(texts):
        raise InputError(f"{sum(not text for text in texts)} texts are empty, and the API takes no empty text")
    keys = [cache.key(options.host, options.model, options.dimensions, text) for text in texts]
    unique = dict(zip(keys, texts, strict=True))
    folder = cache.folder(options.model)
    found = cache.read(folder, unique)
    to_send = [Text(key, text, counter.count(text)) for key, text in unique.items() if key not in found]
    budget = Budget(options.max_usd, options.usd_per_million_tokens)
    announce(options, counter, len(texts), sum(key in found for key in keys), to_send, budget)
    if to_send:
        found |= send(to_send, options, budget, label)
    sizes = sorted({len(vector) for vector in found.values()})
    if len(sizes) > 1:
        raise InputError(f"{folder}: vectors of {sizes} dimensions under one model's name; remove the folder")
    sent = {text.key for text in to_send}
    notes = {
        "model": options.model,
        "server": options.host,
        "tokens_counted_by": counter.name,
        "cached_share": round(sum(key not in sent for key in keys) / len(keys), 6),
        "tokens_sent": budget.n_tokens,
        "usd": round(budget.usd(budget.n_tokens), 6),
    }
    return Encoded(np.stack([found[key] for key in keys]), notes)


def announce(
    options: Options, counter: tokens.Counter, n_texts: int, n_cached: int, to_send: Sequence[Text], budget: Budget
) -> None:
    """Print what will be sent and what it may cost.

    Raises
    ------
    InputError
        If that is more than ``max_usd``.
    """
    line = f"{options.model} at {options.host}: {n_texts:,} texts, {n_cached:,} of them cached"
    if not to_send:
        click.echo(f"{line}; nothing is sent")
        return
    n_tokens = sum(text.n_tokens for text in to_send)
    about = "about" if counter.exact else "at most"
    how = "" if counter.exact else " (a token a byte; tiktoken or its table is not here)"
    cost = f"{about} {n_tokens:,} tokens{how}, {about} ${budget.usd(n_tokens):.4f}"
    click.echo(f"{line}; {len(to_send):,} to send, {cost}")
    if budget.usd(n_tokens) > options.max_usd:
        raise InputError(
            f"{options.model} at {options.host}: {cost}, is more than max_usd {options.max_usd:g}; raise max_usd in "
            "params.yaml or take fewer cells; nothing was sent"
        )


def send(to_send: Sequence[Text], options: Options, budget: Budget, label: str) -> dict[bytes, np.ndarray]:
    """Ask for all vectors, keep them as they arrive, and return them by key."""
    server, pace, folder = Server(options), Pace(options.host), cache.folder(options.model)

    def fetch(batch: list[Text]) -> dict[bytes, np.ndarray]:
        estimate = sum(text.n_tokens for text in batch)
        for attempt in itertools.count():
            pace.wait()
            budget.reserve(estimate)
            try:
                answer = server.embed([text.text for text in batch])
            except Busy as busy:
                budget.release(estimate)
                pace.hold(busy, attempt)
            else:
                break
        budget.settle(estimate, answer.n_tokens)
        pace.answered()
        keys = [text.key for text in batch]
        cache.write(folder, keys, answer.vectors)
        return dict(zip(keys, answer.vectors, strict=True))

    def fetch_or_stop_all(batch: list[Text]) -> dict[bytes, np.ndarray]:
        try:
            return fetch(batch)
        except BaseException:
            pace.stop()
            raise

    found: dict[bytes, np.ndarray] = {}
    pool = ThreadPoolExecutor(options.concurrency)
    try:
        with progress_bar(label, len(to_send), "text") as bar:
            futures = [pool.submit(fetch_or_stop_all, batch) for batch in batches(to_send, options.batch_size)]
            for future in as_completed(futures):
                try:
                    arrived = future.result()
                except Stopped:
                    continue  # another one says why
                found |= arrived
                bar.update(len(arrived))
    finally:
        pace.stop()
        pool.shutdown(cancel_futures=True)
    return found


def batches(to_send: Sequence[Text], batch_size: int) -> Iterator[list[Text]]:
    """Cut texts into requests, in order: at most `batch_size` texts, and no more tokens than a request may have."""
    batch: list[Text] = []
    n_tokens = 0
    for text in to_send:
        if batch and (len(batch) == batch_size or n_tokens + text.n_tokens > MAX_TOKENS_PER_REQUEST):
            yield batch
            batch, n_tokens = [], 0
        batch.append(text)
        n_tokens += text.n_tokens
    if batch:
        yield batch

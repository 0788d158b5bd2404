"""Text vectors from an embeddings API: OpenAI's, or any server that speaks its protocol.

Every vector is kept as it arrives (`genept.engines.encoder.vector_cache`), so that none is paid for twice: not after an
error, Ctrl-C or a crash, and not for another model of the benchmark. The cost is estimated before the first request and
bounded by ``max_usd``. The package openai sends the requests (`genept.engines.encoder.client`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from genept.core.cli import progress_bar
from genept.core.errors import InputError, ParamsError
from genept.engines.encoder import tokens
from genept.engines.encoder.client import OPENAI_SERVER, Client
from genept.engines.encoder.encoder import Encoded, Encoder
from genept.engines.encoder.settings import OpenAI, host_of
from genept.engines.encoder.vector_cache import VectorCache

CACHE = Path("data/cache/text_api")
MAX_TOKENS_PER_REQUEST = 300_000  # of the API


class Text(NamedTuple):
    """A text to send."""

    key: bytes
    text: str
    n_tokens: int  # estimated


class OpenAIEncoder(Encoder):
    """A model behind an embeddings API.

    Raises
    ------
    ParamsError
        If OPENAI_BASE_URL, which counts where ``base_url`` is null, is not an address.
    """

    def __init__(self, config: OpenAI) -> None:
        self.config = config
        self.base_url = config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_SERVER
        try:
            self.host = host_of(self.base_url)
        except ValueError as error:
            raise ParamsError(f"OPENAI_BASE_URL: {error}") from None
        self.counter = tokens.counter(config.model)
        self.max_length = config.max_tokens

    def card(self) -> dict[str, Any]:
        """Describe what the vectors depend on."""
        config = self.config
        asked = {} if config.dimensions is None else {"dimensions": config.dimensions}
        return {
            "encoder": "openai",
            "model": config.model,
            "server": self.host,
            **asked,
            "tokens_counted_by": self.counter.name,
            "max_length": self.max_length,
        }

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Return the server's vectors of texts, each cut behind a word if it is longer than ``max_tokens``.

        Equal texts are sent once. Before the first request a line says what is sent and what it may cost. On an error
        and on Ctrl-C no further request is sent, and those under way are waited for, because they are paid for.

        Raises
        ------
        InputError
            If a text is empty, the texts may cost more than ``max_usd``, or the server does not answer with vectors.
        """
        whole = list(texts)
        cuts = [tokens.cut(text, self.max_length, self.counter.count) for text in whole]
        if not all(cuts):
            raise InputError(f"{cuts.count('')} texts are empty, or no word of them fits; the API takes no empty text")
        keys = [self.key(text) for text in cuts]
        unique = dict(zip(keys, cuts, strict=True))
        with VectorCache(CACHE) as cache:
            vectors = cache.read(unique)
            to_send = [Text(key, text, self.counter.count(text)) for key, text in unique.items() if key not in vectors]
            budget = Budget(self.config)
            self.announce(len(whole), sum(key in vectors for key in keys), to_send, budget)
            if to_send:
                vectors |= self.send(to_send, cache, budget, label)
        sent = {text.key for text in to_send}
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise InputError(f"{self.host}: vectors of several lengths for {self.config.model}; remove {CACHE}")
        notes = {
            "model": self.config.model,
            "server": self.host,
            "tokens_counted_by": self.counter.name,
            "cached_share": round(sum(key not in sent for key in keys) / max(len(keys), 1), 6),
            "tokens_sent": budget.n_tokens,
            "usd": round(budget.usd(budget.n_tokens), 6),
        }
        return Encoded(
            np.stack([vectors[key] for key in keys]) if keys else np.empty((0, 0), dtype=np.float32),
            np.array([self.counter.count(text) for text in cuts], dtype=np.int64),
            np.array([len(text) for text in cuts], dtype=np.int64),
            np.array([len(text) < len(full) for text, full in zip(cuts, whole, strict=True)], dtype=bool),
            notes,
        )

    def key(self, text: str) -> bytes:
        """Return the name of a text's vector in the cache: a SHA-256 of all that the vector depends on."""
        parts = [self.host, self.config.model, self.config.dimensions, text]
        return hashlib.sha256(json.dumps(parts).encode()).digest()

    def announce(self, n_texts: int, n_cached: int, to_send: Sequence[Text], budget: Budget) -> None:
        """Print what will be sent and what it may cost; raise `InputError` if that is more than ``max_usd``."""
        line = f"{self.config.model} at {self.host}: {n_texts:,} texts, {n_cached:,} of them cached"
        if not to_send:
            click.echo(f"{line}; nothing is sent")
            return
        n_tokens = sum(text.n_tokens for text in to_send)
        about = "about" if self.counter.exact else "at most"
        how = "" if self.counter.exact else " (a token a byte; tiktoken or its table is not installed)"
        cost = f"{about} {n_tokens:,} tokens{how}, {about} ${budget.usd(n_tokens):.4f}"
        click.echo(f"{line}; {len(to_send):,} to send, {cost}")
        if budget.usd(n_tokens) > self.config.max_usd:
            raise InputError(
                f"{self.config.model} at {self.host}: {cost}, is more than max_usd {self.config.max_usd:g}; raise "
                "max_usd or take fewer texts; nothing was sent"
            )

    def send(self, to_send: Sequence[Text], cache: VectorCache, budget: Budget, label: str) -> dict[bytes, np.ndarray]:
        """Ask for the vectors of all texts, keep them as they arrive, and return them by key."""
        client = Client(self.config, self.base_url, self.host)
        stopped = threading.Event()

        def fetch(batch: list[Text]) -> dict[bytes, np.ndarray]:
            if stopped.is_set():
                return {}
            try:
                return fetch_and_keep(batch)
            except BaseException:
                stopped.set()
                raise

        def fetch_and_keep(batch: list[Text]) -> dict[bytes, np.ndarray]:
            estimate = sum(text.n_tokens for text in batch)
            budget.reserve(estimate)
            vectors, counted = client.embed([text.text for text in batch])
            budget.settle(estimate, counted)
            arrived = dict(zip([text.key for text in batch], vectors, strict=True))
            cache.write(arrived)
            return arrived

        found: dict[bytes, np.ndarray] = {}
        pool = ThreadPoolExecutor(self.config.concurrency)
        try:
            with progress_bar(label, len(to_send), "text") as bar:
                futures = [pool.submit(fetch, batch) for batch in batches(to_send, self.config.batch_size)]
                for future in as_completed(futures):
                    found |= future.result()
                    bar.update(len(future.result()))
        finally:
            stopped.set()
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


class Budget:
    """What a run may cost, for several threads: tokens counted by the server, and estimates of those under way."""

    def __init__(self, config: OpenAI) -> None:
        self.config = config
        self.n_tokens = 0  # by the server's count
        self.under_way = 0  # estimated
        self.lock = threading.Lock()

    def usd(self, n_tokens: int) -> float:
        """Return the price of tokens."""
        return n_tokens * self.config.price / 1_000_000

    def reserve(self, estimate: int) -> None:
        """Take a batch into account before it is sent; raise `InputError` if the run could then cost too much.

        That can only be if the server has counted more tokens than were estimated.
        """
        with self.lock:
            if self.usd(self.n_tokens + self.under_way + estimate) > self.config.max_usd:
                raise InputError(
                    f"stopped at {self.n_tokens:,} tokens by the server's count, ${self.usd(self.n_tokens):.4f}: the "
                    f"next texts could cost more than max_usd {self.config.max_usd:g}; what arrived is in {CACHE}, "
                    "raise max_usd to go on"
                )
            self.under_way += estimate

    def settle(self, estimate: int, counted: int | None) -> None:
        """Replace a batch's estimate by the server's count; None, from a server that counts nothing, keeps it."""
        with self.lock:
            self.under_way -= estimate
            self.n_tokens += estimate if counted is None else counted

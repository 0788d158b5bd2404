"""What an embeddings API costs: tokens are counted before they are paid for, and paid vectors are kept."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import diskcache
import numpy as np

from genept.core import files
from genept.core.errors import InputError
from genept.engines.encoder.settings import OpenAI

CACHE = Path("data/cache/text_api")
TABLE = "cl100k_base"  # of all OpenAI embedding models; tiktoken keeps it under the hash of its address
TABLE_ADDRESS = f"https://openaipublic.blob.core.windows.net/encodings/{TABLE}.tiktoken"


class Counter(NamedTuple):
    """A way to count tokens."""

    name: str
    exact: bool
    count: Callable[[str], int]


def counter(model: str) -> Counter:
    """Return OpenAI's own tokenizer if it is installed with its table, else an upper bound: one token per byte.

    tiktoken downloads its table when it is first used; here nothing is downloaded for it.
    """
    with contextlib.suppress(ImportError, KeyError):
        import tiktoken

        if tiktoken.encoding_name_for_model(model) == TABLE and table_path().is_file():
            encoding = tiktoken.get_encoding(TABLE)
            return Counter(TABLE, True, lambda text: len(encoding.encode_ordinary(text)))
    return Counter("bytes", False, n_bytes)


def n_bytes(text: str) -> int:
    """Return the number of bytes in UTF-8: a tokenizer that merges bytes makes at most one token of each."""
    return len(text.encode())


def table_path() -> Path:
    """Return where tiktoken keeps its table."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    base = Path(tempfile.gettempdir(), "data-gym-cache") if folder is None else Path(folder)
    return base / hashlib.sha1(TABLE_ADDRESS.encode()).hexdigest()


def cut(text: str, max_tokens: int, count: Callable[[str], int]) -> str:
    """Return the longest beginning of a text that has at most `max_tokens` and ends where a word ends; perhaps nothing.

    `count` must not decrease as a text grows.
    """
    if n_bytes(text) <= max_tokens or count(text) <= max_tokens:
        return text
    ends = [i for i, character in enumerate(text) if character == " "]
    n_words = bisect.bisect_right(ends, max_tokens, key=lambda end: count(text[:end]))
    return text[: ends[n_words - 1]] if n_words else ""


class Budget:
    """What a run may cost, for several threads: tokens counted by the server, and estimates of those under way."""

    def __init__(self, config: OpenAI, before: float = 0.0) -> None:
        self.config, self.before = config, before  # USD that the job has cost so far
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
            if self.before + self.usd(self.n_tokens + self.under_way + estimate) > self.config.max_usd:
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


class BytesDisk(diskcache.Disk):
    """Values of a cache that are bytes; a pickle in their place is not loaded."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        """Return a value."""
        if mode == diskcache.core.MODE_PICKLE:
            raise sqlite3.DatabaseError("a value is no vector")
        return super().fetch(mode, filename, value, read)


class VectorCache:
    """Vectors that were paid for, by key: float32 in a diskcache without eviction, on disk before `write` returns."""

    def __init__(self) -> None:
        settings = {"eviction_policy": "none", "cull_limit": 0, "sqlite_synchronous": 2}
        with self.explained():
            self.cache = diskcache.Cache(str(files.shared(CACHE)), disk=BytesDisk, **settings)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an error of the database into one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(
                f"{CACHE}: the cache of paid vectors is damaged or locked ({error}); move it away, or repair it with "
                "sqlite3's .recover"
            ) from None

    def read(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return those of the vectors that are there, each of shape (n_dimensions,)."""
        with self.explained():
            found = {key: self.cache.get(key, retry=True) for key in keys}
        return {key: np.frombuffer(value, dtype="<f4") for key, value in found.items() if value}

    def write(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors, all of them or none."""
        with self.explained(), self.cache.transact(retry=True):
            for key, vector in vectors.items():
                self.cache.set(key, vector.astype("<f4").tobytes(), retry=True)

    def close(self) -> None:
        """Close the database."""
        self.cache.close()

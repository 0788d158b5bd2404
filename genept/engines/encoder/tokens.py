"""Count the tokens of a text before it is paid for, and cut it where the encoder would not read on."""

from __future__ import annotations

import bisect
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genept.core import files

# The table of all OpenAI embedding models. tiktoken keeps it under the hash of its address.
TABLE = "cl100k_base"
TABLE_ADDRESS = f"https://openaipublic.blob.core.windows.net/encodings/{TABLE}.tiktoken"
TABLE_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"


class Counter(NamedTuple):
    """A way to count tokens."""

    name: str
    exact: bool
    count: Callable[[str], int]


def counter(model: str) -> Counter:
    """Return OpenAI's own tokenizer if it is installed with its table, else an upper bound: one token per byte.

    tiktoken downloads its table when it is first used; here nothing is downloaded for it.
    """
    bound = Counter("bytes", False, n_bytes)
    try:
        import tiktoken

        known = tiktoken.encoding_name_for_model(model) == TABLE
    except (ImportError, KeyError):
        return bound
    path = table_path()
    if not known or not path.is_file() or files.sha256(path) != TABLE_SHA256:
        return bound
    encoding = tiktoken.get_encoding(TABLE)
    return Counter(TABLE, True, lambda text: len(encoding.encode_ordinary(text)))


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

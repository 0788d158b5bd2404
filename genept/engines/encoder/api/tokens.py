"""Counting a text's tokens before it is sent, and cutting it where the encoder would not read on."""

from __future__ import annotations

import bisect
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genept.core import files
from genept.core.errors import ParamsError

# The table of all OpenAI embedding models. tiktoken keeps it under the hash of its address.
TABLE = "cl100k_base"
TABLE_ADDRESS = f"https://openaipublic.blob.core.windows.net/encodings/{TABLE}.tiktoken"
TABLE_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"


class Counter(NamedTuple):
    """A way to count tokens."""

    name: str
    exact: bool
    count: Callable[[str], int]


def n_bytes(text: str) -> int:
    """Return the number of bytes in UTF-8: a tokenizer that merges bytes makes at most one token of each."""
    return len(text.encode())


def counter(model: str) -> Counter:
    """Return OpenAI's own tokenizer if it is here, else an upper bound: one token per byte.

    It is here if tiktoken is installed and has downloaded its table before; nothing is downloaded for it.
    """
    bound = Counter("bytes", False, n_bytes)
    try:
        import tiktoken
    except ImportError:
        return bound
    try:
        known = tiktoken.encoding_name_for_model(model) == TABLE
    except KeyError:
        return bound
    path = table_path()
    if not known or not path.is_file() or files.sha256(path) != TABLE_SHA256:
        return bound
    encoding = tiktoken.get_encoding(TABLE)
    return Counter(TABLE, True, lambda text: len(encoding.encode_ordinary(text)))


def table_path() -> Path:
    """Return where tiktoken keeps its table."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    base = Path(tempfile.gettempdir(), "data-gym-cache") if folder is None else Path(folder)
    return base / hashlib.sha1(TABLE_ADDRESS.encode()).hexdigest()


def cut(text: str, max_tokens: int, count: Callable[[str], int], n_prompt: int) -> str:
    """Return the beginning of a text that has at most `max_tokens` and ends where a word ends.

    The first `n_prompt` characters always stay; if no word after them fits, they are all that is left. `count` must not
    decrease as a text grows.

    Raises
    ------
    ParamsError
        If the prompt alone has more tokens.
    """
    if n_bytes(text) <= max_tokens or count(text) <= max_tokens:
        return text
    if count(text[:n_prompt]) > max_tokens:
        raise ParamsError(f"params.yaml: openai.max_tokens: {max_tokens} is less than the prompt alone has")
    ends = [i for i in range(n_prompt, len(text)) if text[i] == " "]
    n_words = bisect.bisect_right(ends, max_tokens, key=lambda end: count(text[:end]))
    return text[: ends[n_words - 1]] if n_words else text[:n_prompt]

"""The ``openai:`` part of a model's entry in params.yaml."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from genept.core.errors import ParamsError, nearest

OPENAI = "https://api.openai.com/v1"
ADA = "text-embedding-ada-002"
DEFAULTS = {
    "model": ADA,
    "base_url": None,
    "dimensions": None,
    "max_usd": 20,
    "usd_per_million_tokens": None,
    "concurrency": 8,
    "batch_size": 64,
    "max_tokens": 8191,
}
ADA_USD_PER_MILLION_TOKENS = 0.1
MAX_BATCH_SIZE = 2048  # of the API
MAX_CONCURRENCY = 64


@dataclass(frozen=True)
class Options:
    """What to ask, whom, and what it may cost."""

    model: str
    base_url: str
    host: str  # with the port, where it is not the protocol's own
    dimensions: int | None  # None: as many as the model has
    max_usd: float
    usd_per_million_tokens: float
    concurrency: int  # requests at a time
    batch_size: int  # most texts in a request
    max_tokens: int  # of a text; what comes after is cut off


def read(entry: Mapping[str, Any] | None) -> Options:
    """Check the entry and fill in what it leaves out.

    ``base_url: null`` means the environment's OPENAI_BASE_URL, and without that OpenAI's own server.

    Raises
    ------
    ParamsError
        If a key is unknown, a value makes no sense, or the price of a model other than ada-002 is not given.
    """
    entry = {} if entry is None else entry
    if not isinstance(entry, Mapping):
        raise ParamsError("params.yaml: openai must be a mapping, such as {model: text-embedding-ada-002}")
    for key in entry:
        if key not in DEFAULTS:
            if "key" in str(key).lower() or "token" in str(key).lower().split("_"):
                raise ParamsError(f"params.yaml: openai.{key}: a key is read from OPENAI_API_KEY only; remove it here")
            raise ParamsError(f"params.yaml: openai has no {key!r}{nearest(str(key), DEFAULTS)}")
    chosen = {**DEFAULTS, **entry}
    model = chosen["model"]
    if not isinstance(model, str) or not model.strip():
        raise ParamsError(f"params.yaml: openai.model must be a model's name, got {model!r}")
    base_url = chosen["base_url"] or os.environ.get("OPENAI_BASE_URL") or OPENAI
    if chosen["usd_per_million_tokens"] is None:
        if model != ADA:
            raise ParamsError(
                f"params.yaml: openai.usd_per_million_tokens: say what {model} costs (0 for a server of your own)"
            )
        chosen["usd_per_million_tokens"] = ADA_USD_PER_MILLION_TOKENS
    return Options(
        model=model,
        base_url=base_url,
        host=host_of(base_url),
        dimensions=None if chosen["dimensions"] is None else whole(chosen, "dimensions"),
        max_usd=amount(chosen, "max_usd"),
        usd_per_million_tokens=amount(chosen, "usd_per_million_tokens"),
        concurrency=whole(chosen, "concurrency", MAX_CONCURRENCY),
        batch_size=whole(chosen, "batch_size", MAX_BATCH_SIZE),
        max_tokens=whole(chosen, "max_tokens"),
    )


def host_of(base_url: Any) -> str:
    """Return the host of a server's address, in lower case, with the port if it is not the protocol's own.

    Raises
    ------
    ParamsError
        If it is not an address over http or https, or holds a user, a password or a query, where keys hide.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except (ValueError, TypeError, AttributeError):
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise ParamsError("openai.base_url in params.yaml, or OPENAI_BASE_URL, must look like http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ParamsError(
            "openai.base_url in params.yaml, or OPENAI_BASE_URL, must hold no user, password or query; a key "
            "belongs into OPENAI_API_KEY"
        )
    own_port = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, own_port) else f"{host}:{port}"


def whole(chosen: Mapping[str, Any], key: str, most: int | None = None) -> int:
    """Return a whole number of at least 1 and at most `most`."""
    value = chosen[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (most is not None and value > most):
        to = f" to {most}" if most is not None else " or more"
        raise ParamsError(f"params.yaml: openai.{key} must be a whole number, 1{to}, got {value!r}")
    return value


def amount(chosen: Mapping[str, Any], key: str) -> float:
    """Return a number of dollars that is not negative."""
    value = chosen[key]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ParamsError(f"params.yaml: openai.{key} must be a number of dollars, 0 or more, got {value!r}")
    return float(value)

"""One request to an embeddings API, by the official ``openai`` package: vectors, or one line that says why not.

The key is read from the environment variable OPENAI_API_KEY and given to the package; it is in no message.
"""

from __future__ import annotations

import base64
import email.utils
import importlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genept.core.errors import InputError
from genept.engines.encoder.api import pace
from genept.engines.encoder.api.options import OPENAI, Options, host_of
from genept.engines.encoder.api.pace import Busy

TIMEOUT = 120.0  # seconds
BUSY = (408, 409, 425, 429)
EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


class Answer(NamedTuple):
    """What a request brings."""

    vectors: np.ndarray  # (n_texts, n_dimensions), float32
    n_tokens: int | None  # as the server counts them, if it does


class Server:
    """A server that gives vectors for texts; safe to use from several threads.

    Raises
    ------
    InputError
        If the ``openai`` package is not installed, or OpenAI's own server is asked without a key.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.openai = import_openai()
        self.key = read_key()
        if not self.key and options.host == host_of(OPENAI):
            raise InputError(
                f"{options.host}: OPENAI_API_KEY is not set; put your key into that environment variable, or name "
                "another server by base_url"
            )
        # The package wants some key; a server without keys is asked without the header.
        self.headers = {} if self.key else {"Authorization": self.openai.Omit()}
        self.client = self.openai.OpenAI(
            api_key=self.key or "none",
            base_url=options.base_url,
            max_retries=0,
            timeout=TIMEOUT,
        )
        self.encoding_format = "base64"

    def embed(self, texts: Sequence[str]) -> Answer:
        """Ask for the vectors of texts.

        Raises
        ------
        Busy
            If the server may answer later.
        InputError
            If it will not.
        """
        options, openai = self.options, self.openai
        asked = {} if options.dimensions is None else {"dimensions": options.dimensions}
        encoding_format = self.encoding_format
        try:
            reply = self.client.embeddings.with_raw_response.create(
                model=options.model,
                input=list(texts),
                encoding_format=encoding_format,
                extra_headers=self.headers,
                **asked,
            )
        except openai.APITimeoutError:
            raise Busy(f"no answer within {TIMEOUT:.0f} s") from None
        except openai.APIConnectionError as error:
            reason = self.clean(error.__cause__ or error)
            raise Busy(f"not reachable ({reason})", patience=pace.PATIENCE_UNREACHABLE) from None
        except openai.APIStatusError as error:
            said = self.clean(error.body.get("message") if isinstance(error.body, dict) else "")
            if error.status_code in (400, 422) and encoding_format == "base64" and "encoding_format" in said:
                self.encoding_format = "float"
                return self.embed(texts)
            raise self.explain(error, said) from None
        except openai.OpenAIError as error:
            raise InputError(f"{options.host}: {self.clean(error)}") from None
        try:
            return parse(json.loads(reply.text), len(texts), options.dimensions)
        except ValueError as error:
            reason = "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(
                f"{options.host}: the answer is not {len(texts)} vectors ({reason}); is base_url right? It mostly ends "
                "in /v1"
            ) from None

    def explain(self, error: Any, said: str) -> Exception:
        """Say what an answer's status means for the user, or that it may get better."""
        host, model, status = self.options.host, self.options.model, error.status_code
        because = f": {said}" if said else ""
        if status == 429 and (error.code in EXHAUSTED or error.type in EXHAUSTED):
            return InputError(f"{host}: the account's quota is used up (429){because}; what came is kept")
        if status in BUSY or status >= 500:
            return Busy(f"answered {status}{because}", delay=retry_after(error.response.headers))
        if status == 401:  # the server may repeat the key, so its words are left out
            what = "refuses the key in OPENAI_API_KEY" if self.key else "asks for a key, and OPENAI_API_KEY is not set"
            return InputError(f"{host}: {what} (401)")
        if status == 403:
            return InputError(f"{host}: this key may not use {model} from here (403){because}")
        if status == 404:
            return InputError(f"{host}: no model {model} there, or base_url lacks its /v1 (404){because}")
        return InputError(f"{host}: refused the texts ({status}){because}")

    def clean(self, text: Any) -> str:
        """Return one short line of a text that is not ours, without the key."""
        line = " ".join(str(text or "").split())
        return (line.replace(self.key, "***") if self.key else line)[:200]


def import_openai() -> Any:
    """Return the ``openai`` package; importing it takes most of a second, so only who sends texts does."""
    try:
        return importlib.import_module("openai")
    except ImportError:
        raise InputError("`encoder: openai` needs the package openai; run `pip install openai`") from None


def read_key() -> str:
    """Return the key from OPENAI_API_KEY, or an empty text.

    Raises
    ------
    InputError
        If it holds what cannot be sent, as a line break in its middle.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise InputError("OPENAI_API_KEY holds a blank or a character that no key has; set it again")
    return key


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait: a number or a date, None if it names none."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        return max(email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time(), 0.0)
    except (KeyError, ValueError):
        return None


def parse(body: Any, n_texts: int, dimensions: int | None) -> Answer:
    """Read the answer to a request of `n_texts`: vectors in the order of the texts.

    Raises
    ------
    ValueError
        If it is anything else; says what.
    """
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no list `data` in it")
    order = [row.get("index", position) for position, row in enumerate(rows)]
    if sorted(map(str, order)) != sorted(map(str, range(n_texts))):
        raise ValueError(f"{len(rows)} vectors, or not numbered from 0")
    vectors: list[np.ndarray] = [np.empty(0)] * n_texts
    for position, row in zip(order, rows, strict=True):
        vectors[int(position)] = vector(row.get("embedding"))
    sizes = {len(found) for found in vectors}
    if len(sizes) != 1 or (dimensions is not None and sizes != {dimensions}):
        raise ValueError(f"vectors of {', '.join(map(str, sorted(sizes)))} dimensions")
    matrix = np.stack(vectors)
    if not np.isfinite(matrix).all():
        raise ValueError("NaN or infinite coordinates")
    usage = body.get("usage")
    counted = usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, dict) else None
    return Answer(matrix, counted if isinstance(counted, int) and counted >= 0 else None)


def vector(embedding: Any) -> np.ndarray:
    """Read one vector, sent as numbers or as base64 of little-endian float32."""
    if isinstance(embedding, str):
        found = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    elif isinstance(embedding, list) and all(isinstance(value, (int, float)) for value in embedding):
        found = np.array(embedding, dtype=np.float32)
    else:
        raise ValueError("a vector is neither numbers nor base64")
    if not len(found):
        raise ValueError("an empty vector")
    return found

"""Text vectors from an embeddings API: OpenAI's, or any server that speaks its protocol.

Every vector is kept as it arrives, so that none is paid for twice: not after an error, Ctrl-C or a crash, and not for
another model of the benchmark. The cost is estimated before the first request and bounded by ``max_usd``
(`genept.engines.encoder.paid`). The package openai repeats a request where a server is busy or unreachable, after the
pause that ``Retry-After`` asks for (up to 120 s) or 0.5 to 8 s. The key is read from the environment variable
OPENAI_API_KEY. It is in no message and no file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import click
import numpy as np

from genept.core.cli import progress_bar
from genept.core.errors import InputError, ParamsError
from genept.core.notes import Amount, Mean, Total
from genept.engines.encoder import paid
from genept.engines.encoder.encoder import Encoded, Encoder
from genept.engines.encoder.paid import Budget, VectorCache
from genept.engines.encoder.settings import OpenAI, host_of
from genept.engines.network import job as jobs

OPENAI_SERVER = "https://api.openai.com/v1"
MAX_TOKENS_PER_REQUEST = 300_000  # of the API
MAX_RETRIES = 10
TIMEOUT = 120.0  # seconds


class Text(NamedTuple):
    """A text to send."""

    key: bytes
    text: str
    n_tokens: int  # estimated


class OpenAIEncoder(Encoder):
    """A model behind an embeddings API. Where ``base_url`` is null, the environment's OPENAI_BASE_URL counts."""

    def __init__(self, config: OpenAI) -> None:
        self.config = config
        self.base_url = config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_SERVER
        try:
            self.host = host_of(self.base_url)
        except ValueError as error:
            raise ParamsError(f"OPENAI_BASE_URL: {error}") from None
        self.counter = paid.counter(config.model)
        self.max_length = config.max_tokens

    def card(self) -> dict[str, Any]:
        """See `Encoder.card`."""
        asked = {} if self.config.dimensions is None else {"dimensions": self.config.dimensions}
        counted = {"tokens_counted_by": self.counter.name, "max_length": self.max_length}
        return {"encoder": "openai", "model": self.config.model, "server": self.host, **asked, **counted}

    def encode(self, texts: Iterable[str], label: str = "encoding") -> Encoded:
        """Return the server's vectors of texts, each cut behind a word if it is longer than ``max_tokens``.

        Equal texts are sent once. Before the first request a line says what is sent and what it may cost. On an error
        and on Ctrl-C no further request is sent, and those under way are waited for, because they are paid for.
        `InputError` if a text is empty, the texts may cost more than ``max_usd``, or the server sends no vectors.
        """
        whole = list(texts)
        cuts = [paid.cut(text, self.max_length, self.counter.count) for text in whole]
        if not all(cuts):
            raise InputError(f"{cuts.count('')} texts are empty, or no word of them fits; the API takes no empty text")
        keys = [self.key(text) for text in cuts]
        unique = dict(zip(keys, cuts, strict=True))
        job = jobs.current()
        budget = Budget(self.config, job.usd if job else 0.0)
        with contextlib.closing(VectorCache()) as cache:
            vectors = cache.read(unique)
            n_cached = sum(key in vectors for key in keys)
            to_send = [Text(key, text, self.counter.count(text)) for key, text in unique.items() if key not in vectors]
            self.announce(len(whole), n_cached, to_send, budget)
            if to_send:
                vectors |= self.send(to_send, cache, budget, label)
        if job:
            job.usd += budget.usd(budget.n_tokens)
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise InputError(f"{self.host}: vectors of several lengths for {self.config.model}; remove {paid.CACHE}")
        notes = {
            "model": self.config.model,
            "server": self.host,
            "tokens_counted_by": self.counter.name,
            "cached_share": Mean(n_cached, len(keys), digits=6),
            "tokens_sent": Total(budget.n_tokens),
            "usd": Amount(round(budget.usd(budget.n_tokens), 6)),
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
        if budget.before + budget.usd(n_tokens) > self.config.max_usd:
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
                estimate = sum(text.n_tokens for text in batch)
                budget.reserve(estimate)
                vectors, counted = client.embed([text.text for text in batch])
                budget.settle(estimate, counted)
                arrived = dict(zip([text.key for text in batch], vectors, strict=True))
                cache.write(arrived)
                return arrived
            except BaseException:
                stopped.set()
                raise

        vectors: dict[bytes, np.ndarray] = {}
        pool = ThreadPoolExecutor(self.config.concurrency)
        try:
            with progress_bar(label, len(to_send), "text") as bar:
                futures = [pool.submit(fetch, batch) for batch in batches(to_send, self.config.batch_size)]
                for future in as_completed(futures):
                    vectors |= future.result()
                    bar.update(len(future.result()))
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
        return vectors


def batches(to_send: Sequence[Text], batch_size: int) -> Iterator[list[Text]]:
    """Cut texts into requests, in order: at most `batch_size` texts, and no more tokens than a request may have."""
    batch: list[Text] = []
    for text in to_send:
        n_tokens = sum(other.n_tokens for other in batch) + text.n_tokens
        if batch and (len(batch) == batch_size or n_tokens > MAX_TOKENS_PER_REQUEST):
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


class Client:
    """The package openai, with errors of one line; for several threads."""

    def __init__(self, config: OpenAI, base_url: str, host: str) -> None:
        import openai  # takes most of a second

        self.openai, self.config, self.host = openai, config, host
        self.api_key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not all("!" <= character <= "~" for character in self.api_key):
            raise InputError("OPENAI_API_KEY holds a blank or a character that no key has; set it again")
        if not self.api_key and host == host_of(OPENAI_SERVER):
            raise InputError(
                f"{host}: OPENAI_API_KEY is not set; put your key into that environment variable, or name another "
                "server by base_url"
            )
        self.client = openai.OpenAI(
            api_key=self.api_key or "none", base_url=base_url, max_retries=MAX_RETRIES, timeout=TIMEOUT
        )
        self.asked: dict[str, Any] = {"model": config.model}
        if config.dimensions is not None:
            self.asked["dimensions"] = config.dimensions
        if not self.api_key:
            self.asked["extra_headers"] = {"Authorization": openai.Omit()}

    def embed(self, texts: list[str]) -> tuple[np.ndarray, int | None]:
        """Return the vectors, float32 of shape (n_texts, n_dimensions), and the server's count of tokens."""
        openai = self.openai
        try:
            return self.read(self.client.embeddings.create(input=texts, **self.asked), len(texts))
        except openai.APITimeoutError:
            raise InputError(f"{self.host}: no answer within {TIMEOUT:.0f} s; run again to go on") from None
        except openai.APIConnectionError as error:
            reason = self.clean(error.__cause__ or error)
            raise InputError(f"{self.host}: not reachable ({reason}); run again to go on") from None
        except openai.APIStatusError as error:
            message = self.clean(error.body.get("message") if isinstance(error.body, dict) else "")
            if error.status_code in (400, 422) and "encoding_format" in message and "encoding_format" not in self.asked:
                self.asked["encoding_format"] = "float"  # a server that does not know base64, the package's default
                return self.embed(texts)
            raise InputError(f"{self.host}: {self.explain(error, message)}") from None
        except (ValueError, TypeError, AttributeError, openai.OpenAIError) as error:
            raise InputError(
                f"{self.host}: the answer is not {len(texts)} vectors ({self.clean(error)}); is base_url right? It "
                "mostly ends in /v1"
            ) from None

    def read(self, reply: Any, n_texts: int) -> tuple[np.ndarray, int | None]:
        """Check an answer; the protocol numbers the vectors and promises no order."""
        rows = sorted(reply.data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(n_texts)):
            raise ValueError(f"{len(rows)} vectors, or not numbered from 0")
        vectors = np.array([row.embedding for row in rows], dtype=np.float32)
        if vectors.ndim != 2 or not vectors.size:
            raise ValueError(f"vectors of shape {vectors.shape}")
        if self.config.dimensions not in (None, vectors.shape[1]):
            raise ValueError(f"{vectors.shape[1]} dimensions, not the {self.config.dimensions} of openai.dimensions")
        if not np.isfinite(vectors).all():
            raise ValueError("NaN or infinite coordinates")
        counted = getattr(reply.usage, "prompt_tokens", None)
        return vectors, counted if isinstance(counted, int) and counted >= 0 else None

    def explain(self, error: Any, message: str) -> str:
        """Say what an answer's status means for the user."""
        model, status = self.config.model, error.status_code
        because = f": {message}" if message else ""
        if status == 401:  # the server may repeat the key, so its message is left out
            return f"OPENAI_API_KEY is {'refused' if self.api_key else 'not set, and the server asks for a key'} (401)"
        if status == 403:
            return f"this key may not use {model} from here (403){because}"
        if status == 404:
            return f"no model {model} there, or base_url lacks its /v1 (404){because}"
        if status == 429 or status >= 500:
            return f"answered {status} again and again{because}; run again later to go on"
        return f"refused the texts ({status}){because}"

    def clean(self, text: Any) -> str:
        """Return one short line of a text that is not ours, without the key."""
        line = " ".join(str(text or "").split())
        return (line.replace(self.api_key, "***") if self.api_key else line)[:200]

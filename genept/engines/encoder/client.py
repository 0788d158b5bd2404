"""One request to an embeddings API by the package openai: vectors, or one line that says why not.

The package repeats a request where a server is busy or unreachable, after the pause that ``Retry-After`` asks for (up
to 120 s) or 0.5 to 8 s. The key is read from the environment variable OPENAI_API_KEY. It is in no message and no file.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from genept.core.errors import InputError
from genept.engines.encoder.settings import OpenAI, host_of

OPENAI_SERVER = "https://api.openai.com/v1"
MAX_RETRIES = 10
TIMEOUT = 120.0  # seconds


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
        if vectors.ndim != 2 or not vectors.size or self.config.dimensions not in (None, vectors.shape[1]):
            raise ValueError(f"vectors of shape {vectors.shape}")
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

"""What a model's file may say of its text encoder; light to import."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from genept.core.config import Config

ADA = "text-embedding-ada-002"  # the encoder of the paper
ADA_USD_PER_MILLION_TOKENS = 0.1
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def host_of(base_url: str) -> str:
    """Return the host of a server's address, in lower case, with the port if it is not the protocol's own.

    `ValueError` if it is no address over http or https, or holds a user, a password or a query, where keys hide. The
    message does not repeat it.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise ValueError("an address of a server looks like http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("no user, password or query in a server's address; a key belongs into OPENAI_API_KEY")
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{host}:{port}"


BaseUrl = Annotated[str, AfterValidator(lambda base_url: host_of(base_url) and base_url)]


class OpenAI(Config):
    """Which model of an embeddings API to ask, where, and what it may cost."""

    model: Annotated[str, Field(pattern=r"\S")] = ADA
    base_url: BaseUrl | None = None  # None: OPENAI_BASE_URL, else OpenAI's own
    dimensions: PositiveInt | None = None  # None: as many as the model has
    max_usd: Dollars = 20.0  # for each run
    usd_per_million_tokens: Dollars | None = None  # None: the price of ada-002; other models need theirs
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8  # requests at a time
    batch_size: Annotated[int, Field(ge=1, le=2048)] = 64  # texts in a request; at most 2,048 by the protocol
    max_tokens: PositiveInt = 8191  # of a text; the rest is cut off

    @model_validator(mode="before")
    @classmethod
    def refuse_secrets(cls, content: Any) -> Any:
        """Refuse a key in a file, without repeating it."""
        for key in content if isinstance(content, dict) else ():
            if "key" in str(key).lower() or "token" in str(key).lower().split("_"):
                raise ValueError(f"{key}: a key is read from the environment variable OPENAI_API_KEY only; remove it")
        return content

    @model_validator(mode="after")
    def check_price(self) -> OpenAI:
        """Refuse a model whose price is unknown."""
        if self.usd_per_million_tokens is None and self.model != ADA:
            raise ValueError(f"usd_per_million_tokens: set the price of {self.model} (0 for a server of your own)")
        return self

    @property
    def price(self) -> float:
        """US dollars for a million tokens."""
        return ADA_USD_PER_MILLION_TOKENS if self.usd_per_million_tokens is None else self.usd_per_million_tokens


class EncoderConfig(Config):
    """Settings of everything that encodes texts."""

    encoder: Literal["local", "openai"] = "local"
    openai: OpenAI | None = None

    @model_validator(mode="after")
    def check_section(self) -> EncoderConfig:
        """Refuse settings of an encoder that is not used."""
        if self.openai is not None and self.encoder != "openai":
            raise ValueError(f"openai: belongs to `encoder: openai`, not to `encoder: {self.encoder}`")
        return self

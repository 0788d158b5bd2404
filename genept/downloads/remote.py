"""A file on the web, as a host names it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes
    ----------
    urls
        Addresses of the same file, tried in order.
    stated
        Algorithm and digits of the hash that the service states.
    headers
        Of the request, such as a token.
    refused
        What a refusal (status 400, 401 or 403) means, and what to do.
    name
        What the file is called in every run, if its address has a signature that is another one in every run.
    """

    urls: tuple[str, ...]
    stated: tuple[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    name: str | None = None
    refused: tuple[str, str] | None = None

"""Addresses of the web: whether a text is one, and how it may be shown, without what is secret in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from genept.core.errors import ParamsError


@dataclass(frozen=True)
class Signed:
    """What is known of an address with a signature, which is good for some minutes and another one in every run.

    Attributes
    ----------
    name
        What the file is called in every run.
    expired, to_do
        Why the address may be refused, and what to do then.
    """

    name: str
    expired: str
    to_do: str


def is_address(url: str) -> bool:
    """Whether a text is the address of something on the web."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_address(url: str) -> None:
    """Refuse what is no address of a file on the web."""
    if not is_address(url):
        raise ParamsError(f"params.yaml: {plain_text(url.partition('?')[0])!r} is no http or https address of a file")


def plain(url: str) -> str:
    """Return an address as it may be shown: without user name, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return plain_text(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def plain_text(text: str) -> str:
    """Return at most 300 printable characters of a text, on one line."""
    return "".join(character if character.isprintable() else "?" for character in text)[:300]


def file_name(url: str) -> str:
    """Return the name of the file at an address."""
    return plain_text(PurePosixPath(unquote(urlsplit(url).path)).name)

"""Texts of users, such as labels, genes and titles, as notes, errors and pictures show them: one line, never long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

LABEL, TITLE, MESSAGE = 60, 240, 1000  # characters of one label; of a title; of a note or an error
AT_MOST = 5  # labels that a note names
BIDIRECTIONAL = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the text around them
UNPRINTABLE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{BIDIRECTIONAL}]")


def printable(text: str) -> str:
    r"""Write control characters, line breaks, marks that turn text around and lone surrogates as Python does: ``\n``.

    No terminal, table or browser then does anything but print the text, and different texts stay different.
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(text: str, limit: int = LABEL) -> str:
    """Cut the middle out of a text that is longer than `limit`: a message ends with what to do."""
    tail = limit // 3
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}\u2026{text[-tail:]}"


def listed(names: Iterable[object], most: int = AT_MOST) -> str:
    """List names for a note or an error, each short, and say how many others there are."""
    texts = list(map(str, names))
    others = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(map(shorten, texts[:most])) + others


def line(text: str, limit: int = MESSAGE) -> str:
    """Return a title or a note as one short line without backticks, which stand for code in tables and on the page."""
    return shorten(printable(" ".join(text.split())).replace("`", "'"), limit)


Line = Annotated[str, AfterValidator(line)]  # of a settings file
Title = Annotated[str, AfterValidator(lambda text: line(text, TITLE))]

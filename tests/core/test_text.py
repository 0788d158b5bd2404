"""Texts of users as notes, errors, tables and pictures show them."""

from __future__ import annotations

import click.testing
import pytest

from genept.core.cli import say
from genept.core.errors import InputError
from genept.core.text import line, listed, printable, shorten
from genept.report.captions import escaped

HARD = "a\nb\tc\x00\x1b[31m\u202e\ud800\u2028\N{GRINNING FACE} \u05d0"


def test_what_is_printed_is_one_line_that_does_nothing_and_different_texts_stay_different() -> None:
    assert printable(HARD) == "a\\nb\\tc\\x00\\x1b[31m\\u202e\\ud800\\u2028\N{GRINNING FACE} \u05d0"
    assert printable(printable(HARD)) == printable(HARD)
    assert line(" My\n  cells \x1b`x`") == "My cells \\x1b'x'"


@pytest.mark.parametrize("text", ["y" * 60, "y" * 61, "begin" + "y" * 10_000 + "end"])
def test_long_texts_lose_their_middle(text: str) -> None:
    short = shorten(text)
    assert len(short) <= 60 and (short == text) == (len(text) <= 60)
    assert (short[0], short[-1]) == (text[0], text[-1])


def test_lists_errors_and_what_a_stage_says_are_short() -> None:
    assert listed(["a", "b"]) == "a, b" and listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert len(listed(["z" * 10_000] * 10_000)) < 400
    error = InputError(f"data/x.h5ad: {HARD}{'z' * 10_000}; do this")
    assert len(error.message) <= 1000 and error.message.endswith("; do this") and error.message.isprintable()
    command = click.command()(lambda: say(HARD + "z" * 10_000))
    output = click.testing.CliRunner().invoke(command).output
    assert len(output) < 1100 and "\x1b" not in output


def test_markdown_prints_a_user_s_words_as_they_are_and_names_as_code() -> None:
    assert (
        escaped("`text_w`: <img onerror=x> | [a](b) *c* `")
        == "`text_w`: \\<img onerror=x\\> \\| \\[a\\](b) \\*c\\* \\`"
    )

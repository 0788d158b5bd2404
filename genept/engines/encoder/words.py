"""Tokens of texts that are made of the same words over and over: every word is tokenised once.

A BERT's tokenizer does to a word what it does to the word within a text, as long as spaces part it from the others. So
the tokens of a text are those of its words, one after the other, and need not be found anew for every text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Kinds of a tokenizer's parts that look at nothing beyond a space; ``NoneType``: it has no such part.
SEPARABLE = {
    "normalizer": ("BertNormalizer", "NoneType"),
    "pre_tokenizer": ("BertPreTokenizer",),
    "model": ("WordPiece",),
    "post_processor": ("TemplateProcessing", "BertProcessing", "NoneType"),
}


class Text(NamedTuple):
    """A text as an encoder reads it."""

    ids: np.ndarray  # (n_tokens,), int32: the tokens read, the special ones included
    n_characters: int  # the tokens cover this much of the text's beginning
    truncated: bool  # the text has more tokens


class Frame(NamedTuple):
    """The special tokens around a text."""

    front: np.ndarray
    end: np.ndarray


def frame(tokenizer: Tokenizer) -> Frame | None:
    """Return the special tokens that `tokenizer` puts around a text, or None if its words cannot be told apart.

    They cannot if one of its parts is of another kind than `SEPARABLE`, or if it has a token of its own with a space
    in it or beside it.
    """
    if any(type(getattr(tokenizer, part)).__name__ not in kinds for part, kinds in SEPARABLE.items()):
        return None
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.lstrip or token.rstrip or token.single_word or token.content.split() != [token.content]:
            return None
    whole, bare = (tokenizer.encode("a", add_special_tokens=special).ids for special in (True, False))
    if len(bare) != 1 or whole.count(bare[0]) != 1:
        return None
    place = whole.index(bare[0])
    return Frame(np.array(whole[:place], dtype=np.int32), np.array(whole[place + 1 :], dtype=np.int32))


class Pieces(NamedTuple):
    """The tokens of words, word after word, without special ones."""

    ids: np.ndarray  # (n_tokens,), int32
    ends: np.ndarray  # (n_tokens,), int32: where in its word a token ends, in characters
    starts: np.ndarray  # (n_words,): where a word's tokens begin
    counts: np.ndarray  # (n_words,): how many it has, perhaps none
    sizes: np.ndarray  # (n_words,): its characters


def pieces(tokenizer: Tokenizer, words: Sequence[str]) -> Pieces:
    """Tokenise words, each of them whole."""
    from tokenizers import Tokenizer

    endless = Tokenizer.from_str(tokenizer.to_str())  # a copy, because it is changed
    endless.no_truncation()
    encodings = endless.encode_batch(list(words), add_special_tokens=False)
    counts = np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)
    return Pieces(
        np.array([token for encoding in encodings for token in encoding.ids], dtype=np.int32),
        np.array([end for encoding in encodings for _, end in encoding.offsets], dtype=np.int32),
        np.cumsum(counts) - counts,
        counts,
        np.array([len(word) for word in words], dtype=np.int64),
    )


def texts(
    tokenizer: Tokenizer, prompt: str, words: Sequence[str], rows: Sequence[np.ndarray], max_length: int
) -> Iterator[Text] | None:
    """Yield for each of `rows` the text of `prompt` and those of the `words`, joined by single spaces.

    Parameters
    ----------
    prompt
        Empty, or with a space at its end.
    rows
        Which words make up each text, in their order.
    max_length
        Tokens read of a text, the special ones included.

    Returns
    -------
    The same as the tokenizer gives for the whole texts; None if it, or the prompt, allows no such short cut.
    """
    around = frame(tokenizer)
    if around is None or (prompt and not prompt.endswith(" ")):
        return None
    room = max_length - len(around.front) - len(around.end)
    if room < 1:
        return None
    used = np.zeros(len(words), dtype=bool)
    for row in rows:
        used[row] = True
    known = pieces(tokenizer, [prompt, *(word if used[i] else "" for i, word in enumerate(words))])
    return (_text(known, np.concatenate([[0], row + 1]), len(prompt), around, room) for row in rows)


def _text(known: Pieces, row: np.ndarray, n_prompt: int, around: Frame, room: int) -> Text:
    """Join the tokens of the words in `row`, the first of which is the prompt, and cut them off after `room`."""
    stops = np.cumsum(known.counts[row])
    n_read = min(int(stops[-1]), room)
    if not n_read:
        return Text(np.concatenate(around), 0, False)
    last = int(np.searchsorted(stops, n_read))  # the word that the last token is of
    some, counts = row[: last + 1], known.counts[row[: last + 1]]
    places = np.arange(n_read) + np.repeat(known.starts[some] - (stops[: last + 1] - counts), counts)[:n_read]
    before = n_prompt + int(known.sizes[some[1:-1]].sum()) + last - 1 if last else 0  # a space after each of them
    ids = np.concatenate([around.front, known.ids[places], around.end])
    return Text(ids, before + int(known.ends[places[-1]]), int(stops[-1]) > room)

"""Tokens of texts that are made of the same words over and over: every word is tokenised once.

It is written here because it takes 0.2 ms a cell instead of 3 to 7 (one thread, see ``docs/engines.md``), which was the
ceiling on a GPU. A BERT's tokenizer does to a word what it does to the word within a text, as long as spaces part it
from the others. So the tokens of a text are those of its words, one after the other.
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


def special_tokens(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the special tokens before and after a text, or None if the words of a text cannot be told apart.

    They cannot if a part of the tokenizer is of another kind than `SEPARABLE`, or if it has a token of its own with a
    space in it or beside it.
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
    return np.array(whole[:place], dtype=np.int32), np.array(whole[place + 1 :], dtype=np.int32)


def texts(
    tokenizer: Tokenizer, prompt: str, words: Sequence[str], rows: Sequence[np.ndarray], max_length: int
) -> Iterator[Text] | None:
    """Yield for each of `rows` the text of `prompt` and those of the `words`, joined by single spaces.

    The same as the tokenizer gives for the whole texts, `max_length` tokens of each, the special ones included. None if
    the tokenizer allows no such short cut, or the prompt neither is empty nor ends with a space.
    """
    around = special_tokens(tokenizer)
    if around is None or (prompt and not prompt.endswith(" ")):
        return None
    front, end = around
    room = max_length - len(front) - len(end)
    if room < 1:
        return None
    used = np.zeros(len(words), dtype=bool)
    for row in rows:
        used[row] = True
    from tokenizers import Tokenizer

    endless = Tokenizer.from_str(tokenizer.to_str())  # a copy, because it is changed
    endless.no_truncation()
    parts = [prompt, *(word if used[i] else "" for i, word in enumerate(words))]
    encodings = endless.encode_batch(parts, add_special_tokens=False)
    ids = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
    counts = np.array([len(tokens) for tokens in ids])
    sizes = np.array([len(prompt), *(len(word) + 1 for word in words)])  # characters, with the space after a word

    def join(row: np.ndarray) -> Text:
        row = np.concatenate([[0], row + 1])
        stops = np.cumsum(counts[row])
        n_read, n_characters = min(int(stops[-1]), room), 0
        if n_read:
            last = int(np.searchsorted(stops, n_read))  # the word that the last token is of
            in_word = n_read - int(stops[last]) - 1  # counted from the word's end
            n_characters = int(sizes[row[:last]].sum()) + encodings[row[last]].offsets[in_word][1]
        tokens = np.concatenate([ids[i] for i in row.tolist()])[:n_read]
        return Text(np.concatenate([front, tokens, end]), n_characters, int(stops[-1]) > room)

    return map(join, rows)

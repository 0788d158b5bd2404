"""Words that are tokenised once against whole texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from genept.engines.encoder import local, words
from genept.engines.encoder.local import LocalEncoder

PIECES = "abT7-,.()/+ \u00e9\u0301\u4e2d\x00\x1c\x85\t\n\u200b\u200d\u2028\u3000\ufeff\u0130\u03a3\U0001f9ec"
SYMBOLS = st.one_of(
    st.text(PIECES, max_size=6),
    st.text(max_size=8),
    st.sampled_from(["CD19", "HLA-DRB1", "IGHV3-23", "[SEP]", "a[CLS]b", "[PAD", "x" * 101, "", "\u0301", "a\u0301"]),
)
PROMPTS = st.one_of(st.sampled_from(["", "Genes: ", "Genes:", " ", "[CLS] "]), st.text(PIECES, max_size=9))
TEXT_PARTS = st.tuples(
    PROMPTS, st.lists(SYMBOLS, min_size=1, max_size=12), st.lists(st.lists(st.integers(0, 11), max_size=20), max_size=4)
)


def as_rows(words: list[str], rows: list[list[int]]) -> list[np.ndarray]:
    return [np.array([i % len(words) for i in row], dtype=np.int32) for row in rows]


@given(parts=TEXT_PARTS, max_length=st.integers(1, 40), lowercase=st.booleans(), strip=st.sampled_from([None, False]))
@settings(max_examples=80)
def test_words_tokenised_once_give_what_whole_texts_give(
    folder: Path,
    parts: tuple[str, list[str], list[list[int]]],
    max_length: int,
    lowercase: bool,
    strip: bool | None,
) -> None:
    prompt, vocabulary, row_lists = parts
    tokenizer = local.load_tokenizer(folder, max(max_length, 3))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=strip, lowercase=lowercase)
    rows = as_rows(vocabulary, row_lists)
    found = words.texts(tokenizer, prompt, vocabulary, rows, max_length)
    if max_length <= 2 or (prompt and prompt[-1] != " "):
        assert found is None
        return
    assert found is not None
    wholes = [tokenizer.encode(prompt + " ".join(vocabulary[i] for i in row)) for row in rows]
    for text, whole in zip(found, wholes, strict=True):
        assert text.ids.tolist() == whole.ids
        assert text.n_characters == max(end for _, end in whole.offsets)
        assert text.truncated == bool(whole.overflowing)


@pytest.mark.parametrize(
    ("change", "once"),
    [
        (lambda _: None, True),
        (lambda t: setattr(t, "normalizer", normalizers.Sequence([normalizers.Replace("a b", "c")])), False),
        (lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Metaspace()), False),
        (lambda t: t.add_tokens(["a b"]), False),
        (lambda t: t.add_tokens([AddedToken("b", lstrip=True)]), False),
    ],
    ids=["separable", "normalises across spaces", "splits elsewhere", "token with a space", "token that takes spaces"],
)  # fmt: skip
def test_a_tokenizer_that_looks_beyond_spaces_reads_whole_texts(
    folder: Path, change: Callable[[Tokenizer], object], once: bool
) -> None:
    encoder = LocalEncoder(folder, "cpu", 12)
    n_tokens = encoder.tokenizer.get_vocab_size()
    change(encoder.tokenizer)
    rows = [np.array([0, 1, 0], dtype=np.int32)]
    assert (words.texts(encoder.tokenizer, "P: ", ["a", "b"], rows, 12) is not None) == once
    if encoder.tokenizer.get_vocab_size() == n_tokens:  # which the network knows
        found = encoder.encode_words("P: ", ["a", "b"], rows)
        np.testing.assert_array_equal(found.vectors, encoder.encode(["P: a b a"]).vectors)

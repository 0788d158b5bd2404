"""The sentence encoder against one text at a time through the plain network, and against damaged files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.engines.encoder import local as encoder
from genept.engines.encoder import words
from genept.engines.network import batching
from tests import helpers

TEXTS = [
    "CD19: CD19 molecule",
    "GAPDH",
    "HLA-DRB1: major histocompatibility complex, class II, DR beta 1",
    "",
    "IGHV3-23: immunoglobulin heavy variable 3-23 " * 12,
    "lysozyme? never seen: zzz",
]
MAX_LENGTH = 64  # as helpers.write_encoder writes it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(path, TEXTS)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "encoder")


def one_by_one(folder: Path, texts: list[str], max_length: int) -> np.ndarray:
    """As the sentence-transformers package defines it: network, mean over tokens, unit length; no batch, no padding."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    network = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        if len(ids) > max_length:
            ids = [*ids[: max_length - 1], ids[-1]]
        with torch.no_grad():
            hidden = network(torch.tensor([ids])).last_hidden_state[0].double().numpy()
        mean = hidden.mean(axis=0)
        rows.append(mean / np.sqrt((mean**2).sum()))
    return np.array(rows)


@pytest.mark.parametrize("max_length", [None, 12])
def test_vectors_equal_those_of_one_text_at_a_time(folder: Path, max_length: int | None) -> None:
    encoded = encoder.LocalEncoder(folder, "cpu", max_length).encode(TEXTS)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(encoded.vectors, one_by_one(folder, TEXTS, max_length or MAX_LENGTH), atol=1e-6)


def test_vectors_depend_neither_on_batches_nor_on_the_order_of_texts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*TEXTS, *(f"gene {number} " * (number % 9) for number in range(40))]
    reader = encoder.LocalEncoder(folder, "cpu")
    expected = reader.encode(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    monkeypatch.setattr(batching, "TOKENS_PER_BATCH", {"cpu": 70})
    monkeypatch.setattr(encoder, "CHUNK", 7)
    other = reader.encode(texts[i] for i in order)
    np.testing.assert_allclose(other.vectors, expected.vectors[order], atol=1e-6)
    for field in ("n_tokens", "n_characters", "truncated"):
        np.testing.assert_array_equal(getattr(other, field), getattr(expected, field)[order])


def test_tokens_are_counted_and_what_was_cut_off_is_noted(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoded = encoder.LocalEncoder(folder, "cpu").encode(TEXTS)
    full = [tokenizer.encode(text) for text in TEXTS]
    assert encoded.n_tokens.tolist() == [min(len(encoding.ids), MAX_LENGTH) for encoding in full]
    assert encoded.truncated.tolist() == [False, False, False, False, True, False]
    last = full[4].offsets[MAX_LENGTH - 2][1]  # of the tokens read, [CLS] at 0 included, the last before [SEP]
    assert encoded.n_characters.tolist() == [len(text.rstrip()) if i != 4 else last for i, text in enumerate(TEXTS)]


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
@settings(deadline=None, max_examples=150)
def test_words_tokenised_once_give_what_whole_texts_give(
    folder: Path,
    parts: tuple[str, list[str], list[list[int]]],
    max_length: int,
    lowercase: bool,
    strip: bool | None,
) -> None:
    from tokenizers import normalizers

    prompt, vocabulary, row_lists = parts
    tokenizer = encoder.load_tokenizer(folder / "tokenizer.json", max(max_length, 2))
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


@given(parts=TEXT_PARTS)
@settings(deadline=None, max_examples=25)
def test_the_encoder_gives_the_same_for_words_and_for_their_texts(
    folder: Path, parts: tuple[str, list[str], list[list[int]]]
) -> None:
    prompt, vocabulary, row_lists = parts
    rows = as_rows(vocabulary, row_lists)
    reader = encoder.LocalEncoder(folder, "cpu", 12)
    expected = reader.encode([prompt + " ".join(vocabulary[i] for i in row) for row in rows])
    for found, wanted in zip(reader.encode_words(prompt, vocabulary, rows)[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


def change_nothing(tokenizer: Any) -> None:
    pass


def normalise_as_a_whole(tokenizer: Any) -> None:
    from tokenizers import normalizers

    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("a b", "c"), tokenizer.normalizer])


def split_at_other_places(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()


def add_a_token_with_a_space(tokenizer: Any) -> None:
    tokenizer.add_tokens(["a b"])


def add_a_token_that_takes_spaces_along(tokenizer: Any) -> None:
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken("b", lstrip=True)])


@pytest.mark.parametrize(
    ("change", "once"),
    [
        (change_nothing, True),
        (normalise_as_a_whole, False),
        (split_at_other_places, False),
        (add_a_token_with_a_space, False),
        (add_a_token_that_takes_spaces_along, False),
    ],
)
def test_a_tokenizer_that_looks_beyond_spaces_reads_whole_texts(folder: Path, change: Any, once: bool) -> None:
    tokenizer = encoder.load_tokenizer(folder / "tokenizer.json", 12)
    change(tokenizer)
    rows = [np.array([0, 1, 0], dtype=np.int32)]
    assert (words.texts(tokenizer, "P: ", ["a", "b"], rows, 12) is not None) == once


def test_words_are_joined_before_a_tokenizer_that_looks_beyond_spaces_reads_them(folder: Path) -> None:
    reader = encoder.LocalEncoder(folder, "cpu", 12)
    normalise_as_a_whole(reader.tokenizer)
    found = reader.encode_words("P: ", ["a", "b"], [np.array([0, 1, 0])])
    np.testing.assert_array_equal(found.vectors, reader.encode(["P: a b a"]).vectors)
    assert found.n_tokens.tolist() == [len(reader.tokenizer.encode("P: a b a").ids)]


def test_truncation_and_padding_in_the_tokenizer_file_are_replaced(folder: Path, copy: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=40)
    tokenizer.save(str(copy / "tokenizer.json"))
    expected = encoder.LocalEncoder(folder, "cpu").encode(TEXTS)
    found = encoder.LocalEncoder(copy, "cpu").encode(TEXTS)
    np.testing.assert_array_equal(found.n_tokens, expected.n_tokens)
    np.testing.assert_array_equal(found.vectors, expected.vectors)


def test_half_precision_weights_are_computed_with_in_single_precision(folder: Path, copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = {name: weight.half() for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    vectors = encoder.LocalEncoder(copy, "cpu").encode(TEXTS).vectors
    np.testing.assert_allclose(vectors, one_by_one(copy, TEXTS, MAX_LENGTH), atol=1e-6)


def test_no_text_gives_no_vector(folder: Path) -> None:
    encoded = encoder.LocalEncoder(folder, "cpu").encode([])
    assert encoded.vectors.shape == (0, 16)
    assert encoded.truncated.tolist() == []


def test_missing_and_misshapen_weights_are_an_error_of_one_line(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = copy / "model.safetensors"
    weights = load_file(path)
    name = "encoder.layer.1.output.dense.weight"
    save_file({key: weight for key, weight in weights.items() if key != name}, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"1 weights .* are missing, e.g. {name}$"):
        encoder.LocalEncoder(copy, "cpu")
    save_file({**weights, name: weights[name][:, :-1].contiguous()}, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"{name} has shape .*, config.json calls for"):
        encoder.LocalEncoder(copy, "cpu")


def test_damaged_files_are_an_error_of_one_line(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged .*fetch it again$"):
        encoder.LocalEncoder(copy, "cpu")
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer\.json: not a readable tokenizer .*fetch it again$"):
        encoder.LocalEncoder(copy, "cpu")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "sentence_bert_config.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:  # the command line makes one line of it
        encoder.LocalEncoder(copy, "cpu")
    assert caught.value.filename and Path(caught.value.filename).name == name


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no weights; expected model\.safetensors"):
        encoder.LocalEncoder(copy, "cpu")


def test_more_tokens_than_positions_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="64 positions, fewer than max_length 65"):
        encoder.LocalEncoder(folder, "cpu", max_length=65)

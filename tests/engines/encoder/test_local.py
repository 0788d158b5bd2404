"""Sentence encoders against transformers, one text at a time, and against damaged files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from genept.core.errors import InputError
from genept.engines.encoder import local, words
from genept.engines.encoder.local import LocalEncoder
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
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mpnet": (transformers.MPNetConfig, {"max_position_embeddings": 66, "pad_token_id": 1}),
    "roberta": (transformers.RobertaConfig, {"max_position_embeddings": 66, "pad_token_id": 1}),
    "electra": (transformers.ElectraConfig, {"embedding_size": 16, "max_position_embeddings": 64}),
}


def write(folder: Path, kind: str) -> Path:
    """Write a random encoder of a kind, with the tokenizer of the small BERT."""
    helpers.write_encoder(folder, TEXTS)
    if kind in KINDS:
        config_class, changes = KINDS[kind]
        torch.manual_seed(0)
        config = config_class(vocab_size=400, **SIZES, **changes)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("encoder"), "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("roberta"), "roberta")


def one_by_one(folder: Path, max_length: int, pool: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """As sentence-transformers defines it: network, pooling, unit length; no batch, no padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            states = network(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].double().numpy()
        rows.append(pool(states) / np.linalg.norm(pool(states)))
    return np.array(rows)


def mean(states: np.ndarray) -> np.ndarray:
    return states.mean(axis=0)


@pytest.mark.parametrize(("kind", "max_length"), [("bert", None), ("bert", 12), *((kind, None) for kind in KINDS)])
def test_vectors_equal_those_of_one_text_at_a_time(tmp_path: Path, kind: str, max_length: int | None) -> None:
    write(tmp_path, kind)
    encoded = LocalEncoder(tmp_path, "cpu", max_length).encode(TEXTS)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(encoded.vectors, one_by_one(tmp_path, max_length or MAX_LENGTH, mean), atol=1e-6)


def test_the_first_token_stands_for_the_text_if_the_folder_says_so(roberta: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(roberta, tmp_path / "first")
    (copy / "pooling.json").write_text('{"word_embedding_dimension": 16, "pooling_mode_cls_token": true}')
    encoder = LocalEncoder(copy, "cpu")
    expected = one_by_one(copy, MAX_LENGTH, lambda states: states[0])
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, expected, atol=1e-6)
    assert encoder.card()["pooling"] == "first token, unit length"


def test_vectors_depend_neither_on_batches_nor_on_the_order_of_texts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*TEXTS, *(f"gene {number} " * (number % 9) for number in range(40))]
    encoder = LocalEncoder(folder, "cpu")
    expected = encoder.encode(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    monkeypatch.setattr(batching, "TOKENS_PER_BATCH", {"cpu": 70})
    monkeypatch.setattr(local, "CHUNK", 7)
    other = encoder.encode(texts[i] for i in order)
    np.testing.assert_allclose(other.vectors, expected.vectors[order], atol=1e-6)
    for field in ("n_tokens", "n_characters", "truncated"):
        np.testing.assert_array_equal(getattr(other, field), getattr(expected, field)[order])
    assert encoder.encode([]).vectors.shape == (0, 16)


def test_tokens_are_counted_and_what_was_cut_off_is_noted_whatever_the_tokenizer_file_says(
    folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    full = [tokenizer.encode(text) for text in TEXTS]
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=40)
    tokenizer.save(str(copy / "tokenizer.json"))
    encoded = LocalEncoder(copy, "cpu").encode(TEXTS)
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
@settings(deadline=None, max_examples=80)
def test_words_tokenised_once_give_what_whole_texts_give(
    folder: Path,
    parts: tuple[str, list[str], list[list[int]]],
    max_length: int,
    lowercase: bool,
    strip: bool | None,
) -> None:
    prompt, vocabulary, row_lists = parts
    tokenizer = local.load_tokenizer(folder / "tokenizer.json", max(max_length, 2))
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


WEIGHT = "encoder.layer.1.output.dense.weight"


def weight(change: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        values = weights.pop(WEIGHT)
        save_file({**weights, **change(values)}, folder / "model.safetensors")

    return rewrite


without_a_weight = weight(lambda _: {})
with_a_short_weight = weight(lambda values: {WEIGHT: values[:, :-1].contiguous()})


def config(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**content, **changes}))

    return change


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def removed(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("folder", without_a_weight, f"1 weights that config.json calls for are missing, e.g. {WEIGHT}"),
        ("roberta", without_a_weight, f"1 weights that config.json calls for are missing, e.g. {WEIGHT}"),
        ("folder", with_a_short_weight, f"{WEIGHT} has shape (16, 31), config.json calls for (16, 32)"),
        ("folder", written("model.safetensors", "x" * 99), "model.safetensors: damaged"),
        ("folder", removed("model.safetensors"), "no weights; expected model.safetensors"),
        ("roberta", config(model_type="nobody-knows"), "transformers cannot read this nobody-knows ("),
        ("roberta", config(model_type=None), "config.json: model_type is None; 'bert' or another encoder"),
        ("folder", written("config.json", "{"), "config.json: not readable as JSON; fetch it again"),
        ("folder", config(hidden_act="swish"), "config.json: hidden_act: should be 'gelu' or 'relu', got 'swish'"),
        ("folder", written("tokenizer.json", "{"), "tokenizer.json: not a readable tokenizer ("),
        ("folder", written("sentence_bert_config.json", '{"max_seq_length": 65}'), "64 positions, fewer than max_leng"),
        ("roberta", written("sentence_bert_config.json", '{"max_seq_length": 65}'), "64 positions, fewer than max_len"),
        ("folder", written("pooling.json", '{"pooling_mode_max_tokens": true}'), "asks for pooling_mode_max_tokens;"),
        ("folder", removed("config.json"), "config.json"),
        ("folder", removed("tokenizer.json"), "tokenizer.json"),
        ("folder", removed("sentence_bert_config.json"), "sentence_bert_config.json"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    kind: str, change: Callable[[Path], object], message: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = shutil.copytree(request.getfixturevalue(kind), tmp_path / "copy")
    change(copy)
    with pytest.raises((InputError, FileNotFoundError)) as caught:  # the command line makes one line of the latter
        LocalEncoder(copy, "cpu")
    assert message in str(caught.value) and "\n" not in str(caught.value)

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
    "distilbert": (transformers.DistilBertConfig, {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}),
    "modernbert": (transformers.ModernBertConfig, {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}),
    "electra": (transformers.ElectraConfig, {"embedding_size": 16}),
}


def write(folder: Path, kind: str) -> Path:
    """Write a random encoder of a kind, with the tokenizer of the small BERT."""
    helpers.write_encoder(folder, TEXTS)
    if kind in KINDS:
        config_class, changes = KINDS[kind]
        torch.manual_seed(0)
        sizes = {} if kind == "distilbert" else SIZES
        config = config_class(vocab_size=400, **sizes, **{"max_position_embeddings": 64, **changes})
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


def modules(*kinds: str) -> str:
    """As sentence-transformers writes it; the package of the types has changed, their last name has not."""
    paths = {"Transformer": ""}
    return json.dumps(
        [
            {
                "idx": i,
                "name": str(i),
                "path": paths.get(kind, f"{i}_{kind}"),
                "type": f"sentence_transformers.m.{kind}",
            }
            for i, kind in enumerate(kinds)
        ]
    )


POOL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
}
TODAYS = [json.dumps({"embedding_dimension": 16, "pooling_mode": mode, "include_prompt": True}) for mode in POOL]


@pytest.mark.parametrize("kind", ["folder", "roberta"])
@pytest.mark.parametrize(
    ("file", "pooling", "how"),
    [
        ("pooling.json", '{"word_embedding_dimension": 16, "pooling_mode_cls_token": true}', "cls"),
        ("1_Pooling/config.json", '{"pooling_mode_mean_tokens": false, "pooling_mode_max_tokens": true}', "max"),
        *(("1_Pooling/config.json", text, mode) for mode, text in zip(POOL, TODAYS, strict=True)),
    ],
)
def test_states_are_pooled_as_the_folder_says(
    kind: str, file: str, pooling: str, how: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = shutil.copytree(request.getfixturevalue(kind), tmp_path / "copy")
    written(file, pooling)(copy)
    expected = one_by_one(copy, MAX_LENGTH, POOL[how])
    encoder = LocalEncoder(copy, "cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, expected, atol=1e-6)
    assert encoder.card()["pooling"] == f"{local.POOLED[how]}, unit length"
    if file != "pooling.json":
        written("modules.json", modules("Transformer", "Pooling", "Normalize"))(copy)
        np.testing.assert_allclose(LocalEncoder(copy, "cpu").encode(TEXTS).vectors, expected, atol=1e-6)
        written("modules.json", modules("Transformer", "Pooling"))(copy)
        encoder = LocalEncoder(copy, "cpu")
        vectors = encoder.encode(TEXTS).vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        assert (np.abs(lengths - 1) > 0.01).all() and encoder.card()["pooling"] == local.POOLED[how]
        np.testing.assert_allclose(vectors / lengths, expected, atol=1e-6)


def test_the_network_may_lie_in_a_folder_of_its_own(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "0_Transformer")
    written("modules.json", modules("Transformer", "Pooling").replace('"path": ""', '"path": "0_Transformer"'))(
        tmp_path
    )
    written("1_Pooling/config.json", TODAYS[0])(tmp_path)
    found = LocalEncoder(tmp_path, "cpu").encode(TEXTS).vectors
    expected = LocalEncoder(folder, "cpu").encode(TEXTS).vectors
    np.testing.assert_allclose(found / np.linalg.norm(found, axis=1, keepdims=True), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "limits", "expected"),
    [
        ("folder", {"sentence_bert_config.json": {"max_seq_length": 9}, "tokenizer_config.json": {}}, 9),
        ("folder", {"sentence_bert_config.json": {"max_seq_length": None}}, 64),
        (
            "folder",
            {"sentence_bert_config.json": {"transformer_task": "feature-extraction", "modality_config": {}}},
            64,
        ),
        ("folder", {"sentence_bert_config.json": None, "tokenizer_config.json": {"model_max_length": 33}}, 33),
        ("folder", {"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 10**30}}, 64),
        ("folder", {"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 1e30}}, 64),
        ("roberta", {"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 512}}, 64),
    ],
)
def test_as_many_tokens_are_read_as_in_sentence_transformers(
    kind: str, limits: dict[str, Any], expected: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = shutil.copytree(request.getfixturevalue(kind), tmp_path / "copy")
    for name, content in limits.items():
        (copy / name).unlink(missing_ok=True)
        if content is not None:
            written(name, json.dumps(content))(copy)
    assert LocalEncoder(copy, "cpu").max_length == expected


def test_texts_become_lower_case_if_the_folder_says_so(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.save(str(copy / "tokenizer.json"))
    texts, rows = ["LYSOZYME never"], [np.array([0, 1])]
    cased = LocalEncoder(copy, "cpu").encode(texts).vectors
    written("sentence_bert_config.json", '{"max_seq_length": 64, "do_lower_case": true}')(copy)
    encoder = LocalEncoder(copy, "cpu")
    expected = LocalEncoder(folder, "cpu").encode(texts).vectors  # whose tokenizer does it itself
    np.testing.assert_array_equal(encoder.encode(texts).vectors, expected)
    np.testing.assert_array_equal(encoder.encode_words("", ["LYSOZYME", "never"], rows).vectors, expected)
    assert (cased != expected).any()


@pytest.mark.parametrize("kind", ["bert", *KINDS])
def test_weights_as_torch_saves_them_give_the_same_vectors(kind: str, tmp_path: Path) -> None:
    write(tmp_path, kind)
    expected = LocalEncoder(tmp_path, "cpu").encode(TEXTS).vectors
    weights = {f"module.{name}": weight.double() for name, weight in load_file(tmp_path / "model.safetensors").items()}
    if kind == "bert":
        weights = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): weight for name, weight in weights.items()}
    else:
        weights = {name.removeprefix("module."): weight for name, weight in weights.items()}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    np.testing.assert_array_equal(LocalEncoder(tmp_path, "cpu").encode(TEXTS).vectors, expected)


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
    def write_text(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return write_text


def removed(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def more_tokens(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([f"w{i}" for i in range(tokenizer.get_vocab_size(), 401)])
    tokenizer.save(str(folder / "tokenizer.json"))


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
        ("folder", written("config.json", "{"), "config.json: not readable as JSON (Expecting"),
        ("folder", config(hidden_act="swish"), "config.json: hidden_act: should be 'gelu' or 'relu', got 'swish'"),
        ("folder", written("tokenizer.json", "{"), "tokenizer.json: not readable as JSON ("),
        ("folder", written("sentence_bert_config.json", '{"max_seq_length": 65}'), "64 positions, fewer than max_leng"),
        ("roberta", written("sentence_bert_config.json", '{"max_seq_length": 65}'), "64 positions, fewer than max_len"),
        (
            "folder",
            written("pooling.json", '{"pooling_mode_lasttoken": true}'),
            "pooling.json: asks for pooling_mode_last",
        ),
        (
            "folder",
            written("1_Pooling/config.json", '{"pooling_mode": "weightedmean"}'),
            "asks for weightedmean; only on",
        ),
        (
            "folder",
            written("1_Pooling/config.json", '{"pooling_mode": ["cls", "mean"]}'),
            "asks for cls and mean; only ",
        ),
        (
            "folder",
            written("1_Pooling/config.json", '{"pooling_mode_cls_token": false}'),
            "asks for no pooling; only one",
        ),
        ("folder", written("1_Pooling/config.json", "[]"), "expected a JSON object, not list"),
        (
            "folder",
            written("modules.json", modules("Transformer", "Pooling", "Dense")),
            "asks for Transformer, Pooling, D",
        ),
        ("folder", written("modules.json", modules("Transformer")), "modules.json: asks for Transformer; only"),
        ("folder", written("modules.json", "{}"), "modules.json: expected a JSON array, not dict"),
        ("folder", written("modules.json", "[1]"), "modules.json: expected a list of modules"),
        (
            "folder",
            written("modules.json", modules("Transformer", "Pooling")),
            "no such file, but modules.json asks for ",
        ),
        (
            "folder",
            written("modules.json", modules("Transformer", "Pooling").replace("1_Pooling", "../1_Pooling")),
            "modules.json: '../1_Pooling' is not within the folder",
        ),
        (
            "folder",
            written("sentence_bert_config.json", '{"max_seq_length": 2}'),
            "adds 2 tokens to a text, so max_lengt",
        ),
        (
            "folder",
            written("sentence_bert_config.json", '{"max_seq_length": "64"}'),
            "should be a positive number, not '6",
        ),
        (
            "folder",
            written("sentence_bert_config.json", '{"max_seq_length": true}'),
            "should be a positive number, not Tr",
        ),
        ("folder", config(num_hidden_layers=1), "has more layers than the 1 of config.json"),
        (
            "roberta",
            config(num_hidden_layers=1),
            "it has more layers than config.json calls for, e.g. encoder.layer.1.",
        ),
        ("folder", config(num_hidden_layers=10**9), "num_hidden_layers: should be less than or equal to 200"),
        ("roberta", config(num_hidden_layers=10**9), "(config.json asks for 1000000000 layers)"),
        ("folder", config(is_decoder=True), "config.json: is_decoder: should be False"),
        ("roberta", config(vocab_size=10**12), "its weights have other shapes than config.json calls for"),
        (
            "roberta",
            written("config.json", '{"model_type": "t5", "is_encoder_decoder": true}'),
            "cannot read this t5 (",
        ),
        ("roberta", written("config.json", '{"model_type": "mine", "auto_map": {"AutoModel": "m.M"}}'), "this mine ("),
        ("roberta", written("model.safetensors", "version https://git-lfs.github.com/spec/v1"), "a pointer of Git LFS"),
        ("folder", more_tokens, "tokenizer.json has tokens up to number 400, but the network has"),
        ("folder", removed("config.json"), "config.json"),
        ("folder", removed("tokenizer.json"), "tokenizer.json"),
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

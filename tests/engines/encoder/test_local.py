"""Sentence encoders against transformers, one text at a time."""

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
from safetensors.torch import load_file
from tokenizers import Tokenizer, normalizers

from genept.engines.encoder import local
from genept.engines.encoder.local import LocalEncoder
from genept.engines.network import batching
from tests.engines.encoder.made import KINDS, MAX_LENGTH, TEXTS, modules, write, written


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

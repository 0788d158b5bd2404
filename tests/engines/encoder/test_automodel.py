"""Sentence encoders that are no BERT, and those that take the first token, against transformers itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from genept.core.errors import InputError
from genept.engines.encoder.local import LocalEncoder
from tests import helpers

TEXTS = ["CD19: CD19 molecule", "GAPDH", "HLA-DRB1: major histocompatibility complex, class II, DR beta 1 " * 9, ""]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 400,
}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mpnet": (transformers.MPNetConfig, {"max_position_embeddings": 66, "pad_token_id": 1}),
    "roberta": (transformers.RobertaConfig, {"max_position_embeddings": 66, "pad_token_id": 1}),
    "electra": (transformers.ElectraConfig, {"embedding_size": 16, "max_position_embeddings": 64}),
}


def write(folder: Path, kind: str) -> Path:
    """A random encoder of a kind with the tokenizer of the small BERT."""
    helpers.write_encoder(folder, TEXTS)
    (folder / "model.safetensors").unlink()
    config_class, settings = KINDS[kind]
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config_class(**SIZES, **settings)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("roberta"), "roberta")


def states(folder: Path, text: str) -> np.ndarray:
    """The last layer's states of one text, without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return network(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].double().numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("kind", KINDS)
def test_any_encoder_of_transformers_gives_its_mean_state(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path, kind)
    found = LocalEncoder(folder, "cpu").encode(TEXTS)
    expected = [unit(states(folder, text).mean(axis=0)) for text in TEXTS]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    assert found.truncated.tolist() == [False, False, True, False]


def test_the_first_token_is_taken_if_the_folder_says_so(roberta: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(roberta, tmp_path / "first")
    (folder / "pooling.json").write_text('{"word_embedding_dimension": 16, "pooling_mode_cls_token": true}')
    encoder = LocalEncoder(folder, "cpu")
    expected = [unit(states(folder, text)[0]) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, expected, atol=1e-6)
    assert encoder.card()["pooling"] == "first token, unit length"
    (folder / "pooling.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(InputError, match="asks for pooling_mode_max_tokens; only the mean and the first token"):
        LocalEncoder(folder, "cpu")


def change(folder: Path, **settings: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))


def test_what_cannot_be_read_is_one_line(roberta: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(roberta, tmp_path / "damaged")
    with pytest.raises(InputError, match="64 positions, fewer than max_length 65"):
        LocalEncoder(folder, "cpu", max_length=65)
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    save_file({key: value for key, value in weights.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"1 weights that config.json calls for are missing, e.g. {name}$"):
        LocalEncoder(folder, "cpu")
    for settings, message in (
        ({"model_type": "nobody-knows"}, "transformers cannot read this nobody-knows"),
        ({"model_type": None}, "model_type is None; 'bert' or another encoder"),
    ):
        change(folder, **settings)
        with pytest.raises(InputError, match=message) as caught:
            LocalEncoder(folder, "cpu")
        assert "\n" not in caught.value.message

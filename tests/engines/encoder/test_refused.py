"""Folders of encoders that cannot be read: each is refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from genept.core.errors import InputError
from genept.engines.encoder.local import LocalEncoder
from tests.engines.encoder.made import config, modules, removed, written

WEIGHT = "encoder.layer.1.output.dense.weight"


def weight(change: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        values = weights.pop(WEIGHT)
        save_file({**weights, **change(values)}, folder / "model.safetensors")

    return rewrite


without_a_weight = weight(lambda _: {})
with_a_short_weight = weight(lambda values: {WEIGHT: values[:, :-1].contiguous()})


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

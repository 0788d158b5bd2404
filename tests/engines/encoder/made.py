"""Small encoders of several kinds, and changes to their folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

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

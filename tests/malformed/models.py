"""Settings, users' own models, checkpoints, encoders and gene vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.malformed.case import (
    EMBED,
    FINETUNE,
    LABEL,
    NAN,
    Case,
    accepted,
    refused,
    wrong,
)
from tests.malformed.changes import (
    ABSENT,
    Change,
    code,
    device,
    edit_json,
    edit_weights,
    fifo,
    latin1,
    released,
    settings,
    tokenizer,
)
from tests.malformed.handed_on import ENCODER

OF_SETTINGS = [  # a few of each room; tests/core has all of them
    *wrong(LABEL, "params.yaml", "evaluate.repeats", 10**12),
    *wrong(LABEL, "params.yaml", "evaluate.logreg.C", NAN),
    *wrong(LABEL, "params.yaml", "grid.datasets", ["a;rm -rf b"], ["../mine"], None),
    *wrong(LABEL, "params.yaml", "grids", {"a;b": {}}),
    *wrong(LABEL, "data/mine.yaml", "obs", {}, {"cell_type": ["kind"]}),
    *wrong(LABEL, "data/mine.yaml", "subset", {"n_cells": True}, {"share": NAN}),
    *wrong(LABEL, "data/mine.yaml", "derive", {"age": {"of": "patient", "map": None}}, []),
    *wrong(LABEL, "data/mine.yaml", "source", {}, {"kind": "local", "files": {"../raw.h5ad": {"path": "a"}}}),
    *wrong(LABEL, "data/mine.yaml", "title", ABSENT, 5),
    *wrong(f"{EMBED} text_w", "models/text_w.yaml", "embed.unit_norm", "no"),
    *wrong(f"{EMBED} text_w", "models/text_w.yaml", "engine", "../genept_w", ["genept_w"]),
    *wrong(f"{EMBED} random_w", "models/random_w.yaml", "draws", 0, True, 10**12),
    *wrong(f"{EMBED} text_s", "models/text_s.yaml", "embed.max_symbols", True),
    *wrong(f"{EMBED} scgpt_t", "models/scgpt_t.yaml", "embed.max_length", 1, 10**12),
    *wrong("pretrain scgpt_t", "models/scgpt_t.yaml", "pretrain.steps", 0, 10**12),
    *wrong(FINETUNE, "models/genept_w_ft.yaml", "finetune.epochs", 10**12),
]


def embedded(finished: Path) -> None:
    """The embedding is a row of finite numbers for each cell, and its notes are JSON."""
    x = np.load("data/mine/embeddings/plain.npy")
    assert x.shape == (40, 5) and x.dtype == np.float32 and np.isfinite(x).all()
    json.loads(Path("data/mine/embeddings/plain.json").read_text(), parse_constant=pytest.fail)


ACCEPTED_MODELS = {
    "float64": "return x.astype(float), {}",
    "big_endian": "return x.astype('>f4'), {}",
    "no_notes": "return x, None",
    "numpy_numbers": "return x, {'a': np.int64(1), 'b': np.float32(0.5), 'c': np.bool_(True)}",
    "tensor_with_gradient": "import torch; return torch.tensor(x, requires_grad=True), {}",
}
REFUSED_MODELS = {
    "nothing": "return None",
    "only_a_matrix": "return x",
    "notes_with_nan": "return x, {'a': float('nan')}",
    "notes_with_an_object": "return x, {'a': object()}",
    "notes_in_a_circle": "notes = {}; notes['a'] = notes; return x, notes",
    "fewer_rows": "return x[1:], {}",
    "one_axis": "return x[:, 0], {}",
    "no_dimensions": "return x[:, :0], {}",
    "texts": "return x.astype(str), {}",
    "complex": "return x + 1j, {}",
    "objects": "return np.full((40, 5), None), {}",
    "nan": "return x * np.nan, {}",
    "beyond_float32": "return x + 1e300, {}",
    "raises": "raise ValueError('no luck')",
    "recurses": "return embed(cells, folder, config, device)",
    "leaves": "import sys; sys.exit(0)",
    "closes": "raise GeneratorExit",
    "is_cancelled": "import asyncio; raise asyncio.CancelledError",
    "filters": "cells._inplace_subset_obs(np.arange(30)); return x[:30], {}",
    "reorders": "cells._inplace_subset_obs(np.arange(40)[::-1]); return x, {}",
    "memory": "return np.ones((10**6, 10**6)), {}",
}
FAILING_CODE = {
    "syntax": code("return ("),
    "import": code("return x, {}", "import gone_for_good"),
    "import_raises": code("return x, {}", "raise RuntimeError('no luck')"),
}
BROKEN_MODELS = {
    "no_embed": lambda: Path("models/plain.py").write_text("from genept.engines.config import ModelConfig as Model"),
    "model_is_no_class": lambda: Path("models/plain.py").write_text("Model = 5\ndef embed(*_): pass\n"),
}
OF_MODELS = [
    *accepted(f"{EMBED} plain", "model", {name: code(body) for name, body in ACCEPTED_MODELS.items()}, embedded),
    *refused(f"{EMBED} plain", "model", {name: code(body) for name, body in REFUSED_MODELS.items()}, "plain|memory"),
    *refused(f"{EMBED} plain", "model", FAILING_CODE, "plain.py"),
    *refused(f"{EMBED} plain", "model", BROKEN_MODELS, "plain.py", 2),
]


WEIGHT = "transformer_encoder.layers.0.linear1.weight"
ARGS: dict[str, Any] = {"embsize": 0, "nheads": 3, "nlayers": 5, "d_hid": 10**9}
VOCAB: dict[str, Any] = {"negative": -1, "twice": 0, "text": "1", "huge": 10**30}
CONFIG: dict[str, Any] = {"vocab_size": 5, "num_hidden_layers": 10**6, "hidden_size": 7, "num_attention_heads": 0}
WEIGHTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nan": lambda weights: {**weights, WEIGHT: weights[WEIGHT] * NAN},
    "whole": lambda weights: {**weights, WEIGHT: weights[WEIGHT].int()},
    "transposed": lambda weights: {**weights, WEIGHT: weights[WEIGHT].T.contiguous()[:-1]},
    "missing": lambda weights: {name: weight for name, weight in weights.items() if name != WEIGHT},
    "unknown": lambda weights: {**weights, "a.b": weights[WEIGHT]},
    "list": lambda weights: [*weights.values()],
    "none": lambda weights: {"a": None},
}
RELEASED: dict[str, Any] = {
    "list": [1, 2],
    "empty": {},
    "no_vectors": {"A1BG": "x"},
    "other_lengths": {"A1BG": [1.0], "A2M": [1.0, 2.0]},
    "nan": {"A1BG": [NAN]},
    "huge_numbers": {"A1BG": [10**400]},
    "complex": {"A1BG": np.array([1j])},
    "objects": {"A1BG": np.array([None])},
}


def both(*changes: Change) -> Change:
    return lambda: [change() for change in changes]


def added(path: str, kind: Callable[[Path], Any]) -> Change:
    """Put a file that is spoiled where none was."""

    def apply() -> None:
        Path(path).touch()
        kind(Path(path))

    return apply


def summaries(name: str) -> Change:
    """Let the summaries come from a pipe."""
    vectors = {"text": "summary", "summaries": name, "without_summary": "name"}
    return both(settings("models/text_w.yaml", {"vectors": vectors}), added(f"{ENCODER}/{name}", fifo))


def python_source(designation: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(f"5 : NtData(other_designations='{designation}')")


def normalizer(**change: Any) -> Change:
    return tokenizer(normalizer=change)


def json_values(path: str, values: dict[str, Any]) -> dict[str, Change]:
    return {f"{Path(path).stem}_{key}": edit_json(path, {key: value}) for key, value in values.items()}


LONG = settings("models/text_w.yaml", {"vectors.text": "long"})
OF_FILE = settings("models/text_s.yaml", {"embed": {"encoder": "file"}})
NCBI = Path("data/reference/genes_ncbi.py")
DESIGNATIONS: dict[str, Callable[[Path], Any]] = {
    "fifo": fifo,
    "device": device,
    "latin1": latin1,
    "escape": python_source(r"\x"),
    "name_of_no_letter": python_source(r"\N{nothing}"),
    "nul": python_source("\0"),
}
UNKNOWN: dict[str, dict[str, Any]] = {
    "word_level": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "z"},
    "bpe": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "z"},
    "unigram": {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": None},
}
CUT = {"type": "Precompiled", "precompiled_charsmap": "/" * 24}
TOKENIZERS: dict[str, Change] = {
    "vocab_empty": tokenizer("model", vocab={}),
    **{name: tokenizer(model=model) for name, model in UNKNOWN.items()},
    "no_special_tokens": tokenizer("post_processor", special_tokens={}),
    "second_text": tokenizer("post_processor", single=[{"Sequence": {"id": "B", "type_id": 0}}]),
    "special_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", ids=[999_999]),
    "special_far_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", ids=[2**32 - 1]),
    "charsmap_short": normalizer(type="Precompiled", precompiled_charsmap="AAAA"),
    "charsmap_cut": normalizer(**CUT),
    "charsmap_within": normalizer(type="Sequence", normalizers=[CUT]),
    "charsmap_no_text": normalizer(type="Precompiled", precompiled_charsmap=5),
    "regex": normalizer(type="Replace", pattern={"Regex": r"(a+)+$|(\w+\s?)*$"}, content="b"),
    "pieces_of_0": tokenizer(pre_tokenizer={"type": "FixedLength", "length": 0}),
}
OF_SENTENCES = {
    "vocab_empty": tokenizer("model", folder="models/text_s", vocab={}),
    "special_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", folder="models/text_s", ids=[999_999]),
}

SCGPT = "models/scgpt_t"
OF_CHECKPOINTS = [
    *refused(f"{EMBED} scgpt_t", "checkpoint", json_values(f"{SCGPT}/args.json", ARGS), "scgpt_t"),
    *refused(
        f"{EMBED} scgpt_t",
        "vocab",
        {name: edit_json(f"{SCGPT}/vocab.json", {"A1BG": value}) for name, value in VOCAB.items()},
        "vocab",
    ),
    *refused(
        f"{EMBED} scgpt_t", "weights", {name: edit_weights(how) for name, how in WEIGHTS.items()}, "best_model.pt"
    ),
    *refused(f"{EMBED} gf_t", "checkpoint", json_values("models/gf_t/config.json", CONFIG), "gf_t"),
    *refused(
        "vectors text_w", "encoder", json_values(f"{ENCODER}/config.json", {**CONFIG, "model_type": "a"}), "text_w"
    ),
    *refused("vectors text_w", "tokenizer", TOKENIZERS, "tokenizer.json"),
    *refused(f"{EMBED} text_s", "tokenizer", OF_SENTENCES, "tokenizer.json"),
    *refused(
        "vectors text_w",
        "designations",
        {name: both(LONG, partial(kind, NCBI)) for name, kind in DESIGNATIONS.items()},
        "genes_ncbi",
    ),
    *(Case(f"{name}-fifo", "vectors text_w", summaries(name), 1, name) for name in ("s.json", "s.csv")),
    Case("v.csv-fifo", f"{EMBED} text_s", both(OF_FILE, added("models/text_s/v.csv", fifo)), 1, "v.csv"),
    *refused("vectors released", "released", {name: released(value) for name, value in RELEASED.items()}, "released"),
]

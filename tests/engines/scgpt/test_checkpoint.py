"""scGPT checkpoints: both spellings, and one line for what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genept.core import files, readers
from genept.core.errors import InputError
from genept.engines.scgpt import checkpoint
from tests.engines.scgpt.made import ARGS, SYMBOLS, change, upstream_model


def test_equal_checkpoints_have_equal_bytes(saved: Path, tmp_path: Path) -> None:
    model, vocab = upstream_model()
    checkpoint.write(tmp_path, ARGS, vocab, model.state_dict())
    for name in ("args.json", "vocab.json", "best_model.pt"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_every_weight_that_upstream_has_is_the_encoders_or_known_as_unused() -> None:
    model, vocab = upstream_model()
    expected = {
        name: tuple(weight.shape)
        for name, weight in model.state_dict().items()
        if not name.startswith(checkpoint.UNUSED)
    }
    assert checkpoint.shapes(checkpoint.Args(**ARGS), len(vocab)) == expected


def test_a_checkpoint_is_read_without_drawing_an_embedding(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device that imports torch._dynamo, which takes some seconds in every stage."""
    monkeypatch.delattr(torch.nn.Embedding, "reset_parameters")
    assert checkpoint.read(saved).weights


def test_flash_attention_names_unused_heads_and_a_training_loops_wrapping_load_alike(
    saved: Path, tmp_path: Path
) -> None:
    folder = change(saved, tmp_path)
    state = checkpoint.read_weights(saved / "best_model.pt") | {"flag_encoder.weight": torch.zeros(2, 16)}
    state = {f"module.{name}".replace("in_proj_", "Wqkv."): weight for name, weight in state.items()}
    assert any("Wqkv" in name for name in state)
    torch.save({"state_dict": state, "epoch": 3}, folder / "best_model.pt")
    expected, found = checkpoint.read(saved).weights, checkpoint.read(folder).weights
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_missing_special_tokens_take_the_rows_at_the_end_as_in_upstream(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(SYMBOLS)})
    assert checkpoint.read(folder).vocab == readers.read_foreign(saved / "vocab.json")


NORM = "value_encoder.norm.bias"
EMBEDDING = "encoder.embedding.weight"
UNNUMBERED = {symbol: i for i, symbol in enumerate(SYMBOLS)}
SIZED = UNNUMBERED | {"<pad>": 60, "<cls>": 61, "<eoc>": 62, "GENE60": 63}


@pytest.mark.parametrize(
    ("weights", "args", "vocab", "text"),
    [
        ({NORM: None}, {}, None, "best_model.pt: no weight 'value_encoder.norm.bias'"),
        ({EMBEDDING: None}, {}, None, "no weight 'encoder.embedding.weight', expected with shape (63, 16)"),
        ({NORM: torch.zeros(8)}, {}, None, "'value_encoder.norm.bias' has shape (8,), but args.json makes it (16,)"),
        ({"dsbn.bns.0.weight": torch.zeros(16)}, {}, None, "has batch norms (dsbn.bns.0.weight), which need the batch"),
        ({"bn.num_batches_tracked": torch.tensor(3)}, {}, None, "has batch norms (bn.num_batches_tracked), which need"),
        (
            {"sim.weight": torch.zeros(16)},
            {},
            None,
            "unexpected weight 'sim.weight'; the checkpoint is of another kind",
        ),
        ({NORM: torch.full((16,), float("nan"))}, {}, None, "'value_encoder.norm.bias' holds NaN or infinite"),
        ({}, {"nlayers": 2}, None, "more layers than the 2 of args.json"),
        ({}, {}, SIZED, "embeds 63 tokens, but vocab.json has 64"),
        ({EMBEDDING: torch.zeros(61, 16)}, {}, UNNUMBERED, "vocab.json: no token '<cls>', and the weights have no row"),
        ({}, {}, {"A": 0, "B": 2}, "vocab.json: tokens should be numbered 0 to 1, each number once; 'B' has '2'"),
        ({}, {}, {"A": 1, "B": 1}, "each number once; 'A' and 'B' both have 1"),
        ({}, {}, {"A": "0"}, "vocab.json: tokens should be numbered"),
        ({}, {}, {"A": True}, "'A' has 'True'"),
        ({}, {}, {"A": -1}, "'A' has '-1'"),
        ({}, {}, ["A"], "vocab.json: expected a JSON object, not list; make or fetch it again"),
        ({}, {"nlayers": 10**9}, None, "args.json: nlayers: should be less than or equal to 200"),
        ({}, {"pad_value": -(10**12)}, None, "args.json: pad_value: should be greater than or equal to -10000"),
        ({}, {"embsize": None}, None, "args.json: embsize: should be a valid integer"),
        ({}, {"nlayers": 0}, None, "args.json: nlayers: should be greater than 0, got 0"),
        ({}, {"nheads": 3}, None, "args.json: embsize 16 cannot be divided into 3 heads"),
        ({}, {"input_emb_style": "category"}, None, "args.json: input_emb_style: should be 'continuous'"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    saved: Path, tmp_path: Path, weights: dict[str, Any], args: dict[str, Any], vocab: Any, text: str
) -> None:
    folder = change(saved, tmp_path, weights)
    files.write_json(folder / "args.json", ARGS | args)
    if vocab is not None:
        files.write_json(folder / "vocab.json", vocab)
    with pytest.raises(InputError) as error:
        checkpoint.read(folder)
    assert text in error.value.message and "\n" not in error.value.message

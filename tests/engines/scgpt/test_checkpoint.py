"""scGPT checkpoints: both spellings, and one line for what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genept.core import files
from genept.core.errors import InputError
from genept.engines.scgpt import checkpoint
from tests.engines.scgpt.made import ARGS, SYMBOLS, change, upstream_model


def test_equal_checkpoints_have_equal_bytes(saved: Path, tmp_path: Path) -> None:
    model, vocab = upstream_model()
    checkpoint.write(tmp_path, ARGS, vocab, model.state_dict())
    for name in ("args.json", "vocab.json", "best_model.pt"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_flash_attention_names_and_unused_heads_load_alike(saved: Path, tmp_path: Path) -> None:
    state = checkpoint.read_weights(saved / "best_model.pt")
    flash = {name.replace("in_proj_", "Wqkv."): weight for name, weight in state.items()}
    flash["flag_encoder.weight"] = torch.zeros(2, 16)
    checkpoint.write(tmp_path, ARGS, checkpoint.read_vocab(saved / "vocab.json"), flash)
    assert any("Wqkv" in name for name in checkpoint.read_weights(tmp_path / "best_model.pt"))
    expected, found = checkpoint.read(saved).weights, checkpoint.read(tmp_path).weights
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_every_weight_that_upstream_has_is_the_encoders_or_known_as_unused() -> None:
    model, vocab = upstream_model()
    config = checkpoint.Config(embsize=16, nheads=2, d_hid=24, nlayers=3, n_bins=51, pad_value=-2)
    expected = {
        name: tuple(weight.shape)
        for name, weight in model.state_dict().items()
        if not name.startswith(checkpoint.UNUSED)
    }
    assert checkpoint.shapes(config, len(vocab)) == expected


def test_a_missing_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, transformer_encoder__layers__1__linear2__bias=None)
    with pytest.raises(InputError, match=r"best_model\.pt: no weight 'transformer_encoder\.layers\.1\.linear2\.bias'"):
        checkpoint.read(folder)


def test_a_missing_embedding_is_an_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weight 'encoder\.embedding\.weight', expected with shape \(63, 16\)"):
        checkpoint.read(change(saved, tmp_path, encoder__embedding__weight=None))


def test_a_misshapen_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, value_encoder__norm__bias=torch.zeros(8))
    with pytest.raises(
        InputError, match=r"'value_encoder\.norm\.bias' has shape \(8,\), but args\.json makes it \(16,\)"
    ):
        checkpoint.read(folder)


def test_an_unknown_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unexpected weight 'dsbn\.bns\.0\.weight'"):
        checkpoint.read(change(saved, tmp_path, dsbn__bns__0__weight=torch.zeros(16)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((16,), float("nan")), r"best_model\.pt: weight 'value_encoder\.norm\.bias' holds NaN or infinite"),
        (torch.zeros(16, dtype=torch.complex64), r"'value_encoder\.norm\.bias' is complex64; only float16, "),
        (torch.zeros(16, dtype=torch.float8_e4m3fn), r"'value_encoder\.norm\.bias' is float8_e4m3fn; only float16, "),
    ],
)
def test_a_weight_that_is_no_ordinary_finite_number_is_an_error(
    saved: Path, tmp_path: Path, value: torch.Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        checkpoint.read(change(saved, tmp_path, value_encoder__norm__bias=value))


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_as_a_training_loop_wraps_it_loads_alike(
    saved: Path, tmp_path: Path, prefix: str, wrapper: str | None
) -> None:
    folder = change(saved, tmp_path)
    state = {prefix + name: weight for name, weight in checkpoint.read_weights(saved / "best_model.pt").items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, folder / "best_model.pt")
    expected, found = checkpoint.read(saved).weights, checkpoint.read(folder).weights
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_fewer_layers_in_args_than_in_the_weights_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "args.json", ARGS | {"nlayers": 2})
    with pytest.raises(InputError, match=r"more layers than the 2 of args\.json"):
        checkpoint.read(folder)


def test_a_vocabulary_of_another_size_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    vocab = files.read_json(folder / "vocab.json")
    files.write_json(folder / "vocab.json", vocab | {"GENE60": len(vocab)})
    with pytest.raises(InputError, match=r"embeds 63 tokens, but vocab\.json has 64"):
        checkpoint.read(folder)


def test_missing_special_tokens_take_the_rows_at_the_end_as_in_upstream(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(SYMBOLS)})
    assert checkpoint.read(folder).vocab == files.read_json(saved / "vocab.json")


def test_a_special_token_without_a_row_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, encoder__embedding__weight=torch.zeros(61, 16))
    files.write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(SYMBOLS)})
    with pytest.raises(InputError, match=r"vocab\.json: no token '<cls>', and the weights have no row for it"):
        checkpoint.read(folder)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("embsize", None, "'embsize' should be a whole number, found None"),
        ("nlayers", 0, "'nlayers' should be a whole number, found 0"),
        ("n_bins", 1, "n_bins should be at least 2"),
        ("nheads", 3, "embsize 16 cannot be divided into 3 heads"),
        ("input_emb_style", "category", "input_emb_style 'category' is not supported"),
        ("pad_token", "[PAD]", r"pad_token '\[PAD\]' is not supported"),
    ],
)
def test_impossible_settings_are_errors(saved: Path, tmp_path: Path, setting: str, value: object, message: str) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "args.json", ARGS | {setting: value})
    with pytest.raises(InputError, match=message):
        checkpoint.read(folder)


@pytest.mark.parametrize("vocab", [{"A": 0, "B": 2}, {"A": 0, "B": 0}, {"A": "0"}, ["A"]])
def test_a_vocabulary_with_gaps_or_doubles_is_an_error(tmp_path: Path, vocab: object) -> None:
    files.write_json(tmp_path / "vocab.json", vocab)
    with pytest.raises(InputError, match=r"vocab\.json: "):
        checkpoint.read_vocab(tmp_path / "vocab.json")


def test_a_truncated_checkpoint_is_one_line(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "best_model.pt"
    path.write_bytes((saved / "best_model.pt").read_bytes()[:-500])
    with pytest.raises(InputError, match="damaged or not a weights file") as error:
        checkpoint.read_weights(path)
    assert "\n" not in error.value.message

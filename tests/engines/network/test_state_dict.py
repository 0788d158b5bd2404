"""Weights files: what training loops put around the weights, damage, and numbers that no network here can take."""

from __future__ import annotations

import io
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from genept.core.errors import InputError
from genept.engines.network import state_dict

PARTS = ("encoder", "head")
WEIGHTS = {"encoder.a.weight": torch.arange(12.0).reshape(3, 4), "head.bias": torch.ones(3, dtype=torch.float16)}


def saved(content: object, *, legacy: bool = False) -> bytes:
    archive = io.BytesIO()
    torch.save(content, archive, _use_new_zipfile_serialization=not legacy)
    return archive.getvalue()


def read(folder: Path, content: bytes, name: str = "weights.pt") -> dict[str, torch.Tensor]:
    (folder / name).write_bytes(content)
    return state_dict.read(folder / name, PARTS)


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "module.0.auto_model."])
def test_what_training_loops_put_around_the_weights_is_removed(
    tmp_path: Path, prefix: str, wrapper: str | None
) -> None:
    state: dict[str, Any] = {prefix + name: weight for name, weight in WEIGHTS.items()}
    assert_equal(read(tmp_path, saved({wrapper: state, "epoch": 3} if wrapper else state)), WEIGHTS)
    assert_equal(read(tmp_path, save(state), "weights.safetensors"), WEIGHTS)
    assert_equal(read(tmp_path, saved(state, legacy=True)), WEIGHTS)


@pytest.mark.parametrize(
    "names",
    [
        ("module.encoder.a", "head.b"),  # not before all names
        ("encoder.a", "encoder.b"),  # a part of the network
        ("encoder.module.a",),
        ("a", "b"),
        ("a",),
        (),
    ],
)
def test_names_that_share_no_wrapper_stay(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert tuple(read(tmp_path, saved({name: torch.zeros(1) for name in names}))) == names


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/").joinpath, ("harm",))


NO_STATE_DICTS = {
    "empty": b"",
    "pickle with code": pickle.dumps(Harmful(), protocol=2),
    "newer pickle": pickle.dumps({"a": 1}, protocol=4),
    "archive with code": saved({"a": Harmful()}),
    "list": saved([1, 2]),
    "number": saved({"a": 1}),
    "number as name": saved({1: torch.zeros(2)}),
    "unknown wrapper": saved({"weights": {"encoder.a": torch.zeros(2)}}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("content", NO_STATE_DICTS.values(), ids=NO_STATE_DICTS)
def test_a_file_that_is_no_state_dict_is_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"weights\.pt: (damaged or not a weights file|holds no plain)") as error:
        read(tmp_path, content)
    assert "\n" not in error.value.message and "weights_only" not in error.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pt", saved(WEIGHTS)),
        ("legacy.pt", saved(WEIGHTS, legacy=True)),
        ("weights.safetensors", save(WEIGHTS)),
    ],
    ids=["torch", "legacy torch", "safetensors"],
)
def test_however_a_file_is_damaged_the_error_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """Each damage raises an error of its own in torch: of struct, of pickle, TypeError, IndexError and so on."""
    chance = random.Random(0)
    n_refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 3, 20])):
            damaged[chance.randrange(min(len(damaged), 900))] = chance.randrange(256)
        try:
            read(tmp_path, bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])]), name)
        except InputError as error:
            assert "\n" not in error.message
            n_refused += 1
    assert n_refused > 200


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ordinary_numbers_become_float32(dtype: torch.dtype) -> None:
    found = state_dict.float32(Path("w.pt"), "a", torch.tensor([1.5, -2.0], dtype=dtype, requires_grad=True))
    assert found.dtype == torch.float32 and found.tolist() == [1.5, -2.0] and not found.requires_grad


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.zeros(2, dtype=torch.complex64), "w.pt: weight 'a' is complex64; only float16, bfloat16, float32 and "),
        (torch.zeros(2, dtype=torch.int8), "weight 'a' is int8; only"),
        (torch.zeros(2, dtype=torch.float8_e4m3fn), "weight 'a' is float8_e4m3fn; only"),
        (torch.eye(2).to_sparse(), "weight 'a' is not dense; only"),
        (torch.tensor([1.0, float("nan")]), "weight 'a' holds NaN or infinite numbers; make or fetch"),
        (torch.tensor([1e300], dtype=torch.float64), "weight 'a' holds NaN or infinite"),
    ],
)
def test_other_numbers_are_refused_in_one_line(weight: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError) as error:
        state_dict.float32(Path("w.pt"), "a", weight)
    assert message in error.value.message and "\n" not in error.value.message

"""Weights files: what training loops put around the weights, damage, and numbers that no network here can take."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "module.0.auto_model."])
def test_what_training_loops_put_around_the_weights_is_removed(
    tmp_path: Path, prefix: str, wrapper: str | None
) -> None:
    state: dict[str, Any] = {prefix + name: weight for name, weight in WEIGHTS.items()}
    beside = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.5), "optimizer": {"state": {}}}
    assert_equal(read(tmp_path, saved({**({wrapper: state} if wrapper else state), **beside})), WEIGHTS)
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
    ],
)
def test_names_that_share_no_wrapper_stay(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert tuple(read(tmp_path, saved({name: torch.zeros(1) for name in names}))) == names


def test_names_that_torch_compile_and_tensorflow_give_become_the_networks_own(tmp_path: Path) -> None:
    names = ("_orig_mod.encoder._orig_mod.a", "_orig_mod.encoder.LayerNorm.gamma", "_orig_mod.head.norm1.beta")
    found = read(tmp_path, saved({name: torch.zeros(1) for name in names}))
    assert list(found) == ["encoder.a", "encoder.LayerNorm.weight", "head.norm1.bias"]


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/").joinpath, ("harm",))


def safetensors(header: object, content: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def zipped(content: bytes, method: int) -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("a/data.pkl", content)
        return stream.getvalue()


WHOLE = saved({"encoder.a": torch.arange(200.0)})
TENSOR = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
NO_STATE_DICTS = {
    "empty": (b"", "damaged or not a weights file (empty); make or fetch it again"),
    "pickle with code": (pickle.dumps(Harmful(), protocol=2), "holds getattr, which could run code; save the"),
    "newer pickle": (pickle.dumps({"a": 1}, protocol=4), "damaged or not a weights file (something other than ten"),
    "archive with code": (saved({"a": Harmful()}), "holds getattr, which could run code; save the"),
    "whole network": (saved(torch.nn.Linear(2, 2)), "holds torch.nn.modules.linear.Linear, which could run code; save"),
    "list": (saved([1, 2]), "holds no plain state dict (a mapping from weight names to tensors), but list"),
    "nothing": (saved({}), "but dict"),
    "number": (saved({"a": 1}), "but dict of a"),
    "number as name": (saved({1: torch.zeros(2)}), "but dict of 1"),
    "unknown wrapper": (saved({"weights": {"encoder.a": torch.zeros(2)}}), "but dict of weights"),
    "wrong checksum": (WHOLE.replace(struct.pack("<f", 77), struct.pack("<f", 78)), "the checksum of archive/data/0"),
    "truncated": (WHOLE[:-100], "it ends before the list of its members"),
    "compressed": (zipped(bytes(999), zipfile.ZIP_DEFLATED), "its members are compressed, which torch never does"),
    "another archive": (zipped(bytes(999), zipfile.ZIP_STORED), "damaged or not a weights file ("),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "(a pointer of Git LFS, not the"),
    "web page": (b"\n<!DOCTYPE html><html>", "(a web page, not the file itself); make or fetch it again"),
    "huge safetensors": (safetensors({"a": TENSOR}), "file not fully covered"),
    "safetensors without tensors": (safetensors({}), "holds no plain state dict"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}", "header too large"),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("content", "message"), NO_STATE_DICTS.values(), ids=NO_STATE_DICTS)
def test_a_file_that_is_no_state_dict_is_one_line(
    tmp_path: Path, content: bytes, message: str, request: pytest.FixtureRequest
) -> None:
    name = (
        "weights.safetensors" if "safetensors" in request.node.name or "header" in request.node.name else "weights.pt"
    )
    with pytest.raises(InputError, match=r": (damaged or not a weights file|holds )") as error:
        read(tmp_path, content, name)
    assert message in error.value.message, error.value.message
    assert "\n" not in error.value.message and "weights_only" not in error.value.message


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.pt")
    for path in (tmp_path, tmp_path / "weights.pt"):
        with pytest.raises(InputError, match=r"is a folder, not a file|is a pipe"):
            state_dict.read(path)


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

"""Weights files: the tensors that torch or safetensors saved of a network, read without running what is in the file."""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from genept.core import files
from genept.core.errors import InputError
from genept.core.readers import foreign

#: Under which training loops save the weights, beside their own state.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
#: What torch.compile and the like put into the names of weights, and how TensorFlow called the weights of norms.
INSERTED = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
OLD_NORM = re.compile(r"(norm\w*)\.(gamma|beta)$", re.IGNORECASE)
NEW_NORM = {"gamma": "weight", "beta": "bias"}
#: Beside what torch allows: classes of no consequence, in which training loops keep their options and best scores.
HARMLESS: list[Any] = [argparse.Namespace, np.dtype, *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd")]
SCALAR = np.float64(0).__reduce__()[0]
HARMLESS += [(SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

#: Errors of damaged files, collected by damaging some thousands of both of torch's formats.
DAMAGE = (
    *(SafetensorError, pickle.UnpicklingError, struct.error, RuntimeError, OSError, EOFError),
    *(zipfile.BadZipFile, zlib.error, MemoryError, OverflowError),
    *(ValueError, LookupError, TypeError, AttributeError, AssertionError),
)


def read(path: Path, parts: Collection[str] | None = None) -> dict[str, torch.Tensor]:
    """Read a state dict, plain or as training loops wrap it; what they keep beside its tensors is left out.

    The names of the network's weights begin with one of `parts`, up to the first dot; a prefix before that in all names
    is removed, such as the ``module.`` of torch's ``DataParallel``. With None names stay. `InputError` if the file is
    damaged, a checksum in it is wrong, or it holds anything that could run code.
    """
    files.require_file(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickle protocols, before the error itself
            content = load_file(path) if path.suffix == ".safetensors" else load(path)
    except DAMAGE as error:
        raise InputError(f"{path}: {explain(path, error)}") from None
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    found = {} if not isinstance(content, Mapping) else content
    weights = {name: weight for name, weight in found.items() if isinstance(weight, torch.Tensor)}
    if not weights or not all(isinstance(name, str) for name in weights):
        kind = (
            f"{type(content).__name__} of {', '.join(map(str, list(found)[:5]))}" if found else type(content).__name__
        )
        raise InputError(f"{path}: holds no plain state dict (a mapping from weight names to tensors), but {kind}")
    weights = {INSERTED.sub("", name): weight for name, weight in weights.items()}
    weights = {OLD_NORM.sub(lambda m: f"{m[1]}.{NEW_NORM[m[2]]}", name): weight for name, weight in weights.items()}
    return weights if parts is None else without_common_prefix(weights, parts)


def load(path: Path) -> Any:
    """Load what ``torch.save`` wrote. Torch itself does not look at the checksums of the archive."""
    with path.open("rb") as stream:
        if stream.read(4) == b"PK\x03\x04":
            if not zipfile.is_zipfile(stream):
                raise zipfile.BadZipFile("it ends before the list of its members")
            with zipfile.ZipFile(path) as archive:
                if any(member.compress_type for member in archive.infolist()):
                    raise zipfile.BadZipFile("its members are compressed, which torch never does")
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        stream.seek(0)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(stream, map_location="cpu", weights_only=True)


def explain(path: Path, error: Exception) -> str:
    """Say what is wrong with a file and what to do, without torch's advice to load it unsafely."""
    text = " ".join(str(error).split())
    if found := re.search(r"Weights only load failed.*GLOBAL (\S+)", text):
        return f"holds {found[1]}, which could run code; save the tensors alone, by torch.save(model.state_dict(), ...)"
    if text.startswith("Weights only load failed"):
        text = "something other than tensors in it"
    reason = foreign(path) or text[:200] or type(error).__name__
    return f"damaged or not a weights file ({reason}); make or fetch it again"


def without_common_prefix(weights: dict[str, torch.Tensor], parts: Collection[str]) -> dict[str, torch.Tensor]:
    """Remove what stands before one of the `parts` in all names."""
    while len(firsts := {name.partition(".")[0] for name in weights}) == 1 and not firsts <= set(parts):
        shorter = {name.partition(".")[2]: weight for name, weight in weights.items()}
        if "" in shorter:
            break
        weights = shorter
    return weights


def float32(path: Path, name: str, weight: torch.Tensor) -> torch.Tensor:
    """Return a weight in float32; `InputError` if it is not of ordinary, finite floating-point numbers."""
    is_dense = weight.layout is torch.strided and not weight.is_meta
    if weight.dtype not in FLOATS or not is_dense:
        kind = str(weight.dtype).removeprefix("torch.") if is_dense else "not dense"
        raise InputError(
            f"{path}: weight {name!r} is {kind}; only float16, bfloat16, float32 and float64 can be read, so save the "
            "weights in one of them"
        )
    weight = weight.detach().to(torch.float32)
    if not all(torch.isfinite(end) for end in weight.aminmax()):  # far faster than looking at every number
        raise InputError(f"{path}: weight {name!r} holds NaN or infinite numbers; make or fetch the file again")
    return weight

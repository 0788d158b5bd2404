"""Weights files: the tensors that torch or safetensors saved of a network, read without running what is in the file."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from genept.core.errors import InputError

WRAPPERS = ("state_dict", "model_state_dict")  # under which training loops save the weights, beside their own state
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

#: Errors of damaged files, collected by damaging some thousands of both of torch's formats.
DAMAGE = (
    *(SafetensorError, pickle.UnpicklingError, struct.error, RuntimeError, OSError, EOFError),
    *(ValueError, LookupError, TypeError, AttributeError, AssertionError),
)


def read(path: Path, parts: Collection[str]) -> dict[str, torch.Tensor]:
    """Read a state dict, plain or as training loops wrap it.

    The names of the network's weights begin with one of `parts`, up to the first dot; a prefix before that in all names
    is removed, such as the ``module.`` of torch's ``DataParallel``. `InputError` if the file is damaged or holds
    anything but names and tensors.
    """
    with path.open("rb") as stream:
        try:
            with warnings.catch_warnings(action="ignore"):  # of pickle protocols, before the error itself
                is_safe = path.suffix == ".safetensors"
                content = load_file(path) if is_safe else torch.load(stream, map_location="cpu", weights_only=True)
        except DAMAGE as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if reason.startswith("Weights only load failed"):  # with torch's advice to load the file unsafely
                reason = "something other than tensors in it"
            raise InputError(f"{path}: damaged or not a weights file ({reason}); make or fetch it again") from None
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(weight, torch.Tensor) for name, weight in content.items()
    ):
        raise InputError(f"{path}: holds no plain state dict (a mapping from weight names to tensors)")
    return without_common_prefix(dict(content), parts)


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

"""The few functions that a pickle of plain content names: what a call would give, without the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from genept.core.pickles._numpy import NumberType, narrow

if TYPE_CHECKING:
    from genept.core.pickles._machine import Machine


def array(machine: Machine, content: Any, number_type: Any, shape: Any, *_: Any) -> np.ndarray:
    """``numpy._core.numeric._frombuffer(bytes, dtype, shape, order)``."""
    if type(content) is not bytes or type(number_type) is not NumberType:
        raise ValueError("an array without type or content")
    machine.spend(len(content))
    values = number_type.numbers(content, shape)
    return narrow(values) if machine.pack and values.dtype.kind == "f" else values


def empty_array(machine: Machine, *_: Any) -> np.ndarray:
    """``numpy._core.multiarray._reconstruct(ndarray, (0,), b'b')``; `build` completes it."""
    return np.empty(0)


def scalar(machine: Machine, number_type: Any, content: Any) -> int | float:
    """``numpy._core.multiarray.scalar(dtype, bytes)``."""
    if type(number_type) is not NumberType:
        raise ValueError("a number without type")
    return number_type.number(content)


def dtype(machine: Machine, name: Any, *_: Any) -> NumberType:
    """``numpy.dtype('f8', False, True)``."""
    return NumberType(name)


def bytes_of(machine: Machine, text: Any, encoding: Any) -> bytes:
    """``_codecs.encode(text, 'latin1')``: bytes in protocols below 3."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes that are not in latin1")
    machine.spend(len(text))
    return text.encode("latin1")


def no_bytes(machine: Machine) -> bytes:
    """``bytes()``: no bytes, in protocols below 3."""
    return b""


def not_called(machine: Machine, *_: Any) -> NoReturn:
    """``numpy.ndarray``: named, but not called."""
    raise ValueError("it calls numpy.ndarray")


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): dtype,
    ("numpy", "ndarray"): not_called,
    ("_codecs", "encode"): bytes_of,
    ("__builtin__", "bytes"): no_bytes,
    ("builtins", "bytes"): no_bytes,
    # numpy._core since numpy 2
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): array for core in ("core", "_core")},
}

"""What stands for numpy's numbers and arrays while a pickle is read."""

from __future__ import annotations

import itertools
import re
import struct
from typing import Any, NamedTuple

import numpy as np

# What a numpy type is called in a pickle -> the same in the struct module's language.
STRUCT_FORMATS = {
    **{"f2": "e", "f4": "f", "f8": "d"},
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q"},
    **{"u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
}

# Numbers of numpy one after the other, each as the first: function, type, 8 bytes, the call; protocol 4 and later.
NUMPY_FLOAT = re.compile(rb"(?:h.|j....)(?:h(.)|j(....))C\x08(.{8})\x94\x86\x94R\x94", re.DOTALL)
NUMPY_FLOAT_MEMO = 3  # things that each gets a number for: the bytes, the arguments, the float


class Run(NamedTuple):
    """Floats of a list, packed; stands in the list in their place."""

    values: np.ndarray  # float32


class Row(NamedTuple):
    """Numbers of numpy that were read at once; what each has in the memo is decoded when it is asked for."""

    first_key: int
    n_keys: int
    number_type: NumberType
    records: np.ndarray  # the 8 bytes of each

    def recall(self, key: int) -> Any:
        """Return what has that number."""
        index, part = divmod(key - self.first_key, NUMPY_FLOAT_MEMO)
        content = self.records[index].tobytes()
        return (content, (self.number_type, content), self.number_type.number(content))[part]


class NumberType:
    """What a pickle says of a numpy type, in place of ``numpy.dtype``."""

    def __init__(self, name: Any) -> None:
        if type(name) is not str or name not in STRUCT_FORMATS:
            raise ValueError(f"numpy's type {line_of(name)} is no number" if type(name) is str else "no numpy type")
        self.name = name
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """Take the byte order from what numpy stores of a type."""
        if type(state) is not tuple or state[1] not in ("<", ">", "=", "|"):
            raise ValueError("a numpy type without byte order")
        self.order = "=" if state[1] == "|" else state[1]  # "|": one byte, no order

    def number(self, content: bytes) -> int | float:
        """Decode one number."""
        return struct.unpack(self.order + STRUCT_FORMATS[self.name], content)[0]

    def numbers(self, content: bytes, shape: Any) -> np.ndarray:
        """Decode an array of shape (n,) to this machine's byte order."""
        if type(shape) is not tuple or len(shape) != 1:
            raise ValueError("an array of more or less than one dimension")
        found = np.frombuffer(content, np.dtype(self.order + self.name))
        if found.shape != shape:
            raise ValueError(f"an array of {len(found)} numbers that announces another length")
        return found.astype(self.name)


def narrow(values: np.ndarray) -> np.ndarray:
    """Return values as float32, infinite where it does not reach."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def packed(values: list[Any]) -> list[Any] | np.ndarray:
    """Return a list of floats as one float32 array, which takes their place in the list as well; others as they are."""
    kinds = set(map(type, values))
    if not kinds or not kinds <= {float, Run}:
        return values
    parts: list[np.ndarray] = []
    for kind, group in itertools.groupby(values, type):
        items = list(group)
        parts += [item.values for item in items] if kind is Run else [narrow(np.array(items))]
    run = Run(np.concatenate(parts) if len(parts) > 1 else parts[0])
    values[:] = [run]  # the memo keeps the list
    return run.values


def line_of(message: object) -> str:
    """Return a message on one line of bounded length; the name of an error that has none."""
    return " ".join(str(message).split())[:120] or type(message).__name__

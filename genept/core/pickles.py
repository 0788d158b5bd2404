"""Pickles of others, read without running anything: Python's unpickler with an allow-list and fewer instructions.

A pickle is a program, and one of its instructions calls any function of any module. `PlainUnpickler` knows the
functions by which numpy writes numbers and one-dimensional arrays, decodes what they stand for, and refuses all others.
It derives from the unpickler that is written in Python: the one in C allocates 64 GB for a memo index that six bytes
can name, and overflows its stack on a dictionary key of nested tuples.

Memory is bounded by about 100 bytes for each byte of the file, the worst being a file of empty containers. A list of
floats takes 3.6 times its bytes in the file, with ``pack`` 0.5 times.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from genept.core import files
from genept.core.errors import InputError

DAMAGE: tuple[type[Exception], ...] = (pickle.UnpicklingError, struct.error, EOFError, LookupError, TypeError)
DAMAGE += (ValueError, AttributeError, MemoryError, OverflowError)
ATOMS = {bool, bytes, float, int, str, type(None)}
NUMBER_TYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
NO_CONTENT = b"".join((pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX))
SETS = b"".join((pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET))  # whose members could be nested tuples
FLOAT = 1 + 8  # bytes of an instruction and its number
MANY = 1024  # floats that are read in one go


def load(path: Path, *, pack: bool = False) -> Any:
    """Read a pickle of numbers, text, bytes, lists, tuples and dictionaries, of any protocol.

    Numbers of numpy become Python's, bytearrays bytes, ordered dictionaries plain ones. Arrays of numpy, of one
    dimension, keep their type and get this machine's byte order. With `pack`, values of dictionaries that are lists of
    floats become arrays of float32, 4 bytes a number. `InputError` if the pickle asks for anything else, or is damaged.
    """
    try:
        with (
            files.require_file(path).open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return PlainUnpickler(data, path, pack).load()
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable pickle ({one_line(error)}); fetch it again") from None


class NumberType:
    """Stands for ``numpy.dtype``, so that a pickle cannot change numpy's own types."""

    def __init__(self, name: Any, *_: Any) -> None:
        if type(name) is not str or name not in NUMBER_TYPES:
            raise ValueError(f"numpy's type {one_line(name)} is no number" if type(name) is str else "no numpy type")
        self.dtype = np.dtype(name)

    def read(self, content: Any) -> np.ndarray:
        """Decode numbers, shape (n,), to this machine's byte order."""
        if type(content) is not bytes:
            raise ValueError("numbers that are no bytes")
        return np.frombuffer(content, self.dtype).astype(self.dtype.newbyteorder("="))


class PlainUnpickler(pickle._Unpickler):
    """An unpickler of plain content; see the module."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # instruction -> method
    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: mmap.mmap, path: Path, pack: bool) -> None:
        super().__init__(data)
        self.data, self.path, self.pack = data, path, pack
        self.n_decoded = 0  # bytes
        self.functions: dict[tuple[str, str], Callable[..., Any] | None] = {
            ("numpy", "dtype"): NumberType,
            ("numpy", "ndarray"): None,  # named, not called
            ("_codecs", "encode"): self.encode,  # bytes, in protocols below 3
            ("builtins", "bytes"): lambda: b"",
            ("__builtin__", "bytes"): lambda: b"",
            ("collections", "OrderedDict"): lambda: {},
        }
        for core in ("numpy.core", "numpy._core"):  # the latter since numpy 2
            self.functions[f"{core}.multiarray", "scalar"] = lambda kind, content: kind.read(content)[:1].tolist()[0]
            self.functions[f"{core}.multiarray", "_reconstruct"] = lambda *_: np.empty(0)  # BUILD completes it
            self.functions[f"{core}.numeric", "_frombuffer"] = self.array

    def refuse(self, what: str) -> NoReturn:
        """Raise `InputError` for what is not plain content."""
        raise InputError(f"{self.path}: refused, the pickle {what}; numbers and text need no such thing")

    def find_class(self, module: str, name: str) -> Any:
        """Return the function that stands for an allowed one."""
        if (module, name) not in self.functions:
            self.refuse(f"asks to import {one_line(module)}.{one_line(name)}")
        return self.functions[module, name]

    def spend(self, content: Any) -> None:
        """Refuse to copy the same bytes again and again, as references to the memo could ask for."""
        self.n_decoded += len(content)
        if self.n_decoded > len(self.data):
            self.refuse("decodes to more bytes than it has")

    def encode(self, text: Any, encoding: Any) -> bytes:
        """Do as ``_codecs.encode(text, "latin1")``."""
        if type(text) is not str or encoding != "latin1":
            raise ValueError("bytes that are not in latin1")
        self.spend(text)
        return text.encode("latin1")

    def array(self, content: Any, number_type: Any, shape: Any, *_: Any) -> np.ndarray:
        """Do as ``numpy._core.numeric._frombuffer``, for arrays of one dimension."""
        self.spend(content)
        values = number_type.read(content)
        if type(shape) is not tuple or values.shape != shape:
            raise ValueError(f"{len(values)} numbers for an array of shape {one_line(shape)}; one dimension is read")
        return values

    def load_build(self) -> None:
        """Complete a numpy type or array. On anything else, this instruction would set attributes."""
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is NumberType:
            target.dtype = target.dtype.newbyteorder(state[1])
        elif type(target) is np.ndarray and not target.size:
            values = self.array(state[4], state[2], state[1])
            state = (1, values.shape, values.dtype, False, values.tobytes())
            target.__setstate__(state)  # type: ignore[arg-type]  # in place, because the memo has the empty array
        else:
            raise ValueError("it completes what is no numpy type or array")

    def load_setitems(self) -> None:
        """Put keys and values into a dictionary. Nested tuples as keys are refused: their hash can take any time."""
        items = self.pop_mark()
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("it puts keys and values into what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in ATOMS and not (type(key) is tuple and ATOMS.issuperset(map(type, key))):
                raise ValueError(f"a {type(key).__name__} as a key of a dictionary")
            target[key] = packed(value) if self.pack and type(value) is list else value

    def load_setitem(self) -> None:
        """Put one key and value into a dictionary."""
        self.metastack.append(self.stack[:-2])
        self.stack = self.stack[-2:]
        self.load_setitems()

    def load_dict(self) -> None:
        """Make a dictionary of what was collected."""
        self.metastack[-1].append({})
        self.load_setitems()

    def load_binfloat(self) -> None:
        """Read a float and those that follow directly, which takes a tenth of the time of one by one."""
        start = self.data.tell() - 1
        n_floats = min((len(self.data) - start) // FLOAT, MANY)
        records = np.frombuffer(self.data[start : start + n_floats * FLOAT], np.uint8).reshape(n_floats, FLOAT)
        others = np.flatnonzero(records[:, 0] != pickle.BINFLOAT[0])
        records = records[: others[0]] if len(others) else records
        if not len(records):
            raise EOFError("it ends within a number")
        self.stack.extend(records[:, 1:].copy().view(">f8").ravel().tolist())
        self.data.seek(start + len(records) * FLOAT)

    def load_bytes(self) -> None:
        """Read bytes for a bytearray, whose memory the original reserves before it reads."""
        self.append(self.read(struct.unpack("<Q", self.read(8))[0]))

    def load_refused(self) -> None:
        """Refuse objects of classes, and sets."""
        self.refuse("makes an object or a set")

    dispatch |= {pickle.FRAME[0]: lambda self: self.read(8)}  # frames say how to buffer a file
    dispatch |= {pickle.BUILD[0]: load_build, pickle.BINFLOAT[0]: load_binfloat, pickle.BYTEARRAY8[0]: load_bytes}
    dispatch |= {pickle.SETITEMS[0]: load_setitems, pickle.SETITEM[0]: load_setitem, pickle.DICT[0]: load_dict}
    dispatch |= dict.fromkeys(NO_CONTENT + SETS, load_refused)


def packed(values: list[Any]) -> list[Any] | np.ndarray:
    """Return a list of floats as a float32 array, which also takes their place in the list: the memo keeps that."""
    if len(values) == 1 and type(values[0]) is np.ndarray:
        return values[0]
    if set(map(type, values)) != {float}:
        return values
    values[:] = [narrow(np.array(values))]
    return values[0]


def narrow(values: np.ndarray) -> np.ndarray:
    """Return values as float32, infinite where it does not reach."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def one_line(message: object) -> str:
    """Return a message on one line of bounded length; the name of an error that has none."""
    return " ".join(str(message).split())[:120] or type(message).__name__

"""Pickles of others, read without running anything.

A pickle is a program for a small stack machine, and one of its instructions calls any function of any module. Here
the machine is our own (instructions as in the standard library's ``pickletools``). It knows what plain content needs
(numbers, text, bytes, lists, tuples, dictionaries) and decodes the few functions that numpy's numbers and
one-dimensional arrays name; it imports nothing and refuses the rest. What a file announces is compared with what is
left of it before memory is taken, so that memory is bounded by a multiple of the file's size.
"""

from __future__ import annotations

import bisect
import itertools
import mmap
import pickle
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from stages.errors import InputError

MAX_DEPTH = 64  # of containers within containers
MANY = 1024  # floats looked at in one go
FLOAT = 1 + 8  # bytes: an instruction and its number

# What a numpy type is called in a pickle -> the same in the struct module's language.
STRUCT_FORMATS = {
    **{"f2": "e", "f4": "f", "f8": "d"},
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q"},
    **{"u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
}

SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8, "i": 4, "d": 8}

# Numbers of numpy one after the other, each as the first: function, type, 8 bytes, the call; protocol 4 and later.
NUMPY_FLOAT = re.compile(rb"(?:h.|j....)(?:h(.)|j(....))C\x08(.{8})\x94\x86\x94R\x94", re.DOTALL)
NUMPY_FLOAT_MEMO = 3  # things that each gets a number for: the bytes, the arguments, the float

# What reading a damaged pickle raises.
DAMAGE = (struct.error, EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError, OverflowError)

KEYS = frozenset({bool, bytes, float, int, str, type(None)})
ATOMS = KEYS | {np.ndarray}


def load(path: Path, *, pack: bool = False) -> Any:
    """Read a pickle of plain content, of any protocol.

    Numbers of numpy come as Python's, a bytearray as bytes, an array of numpy (of one dimension) as an array.

    Parameters
    ----------
    pack
        Read floats of lists and of arrays as float32, and give the values of dictionaries that are lists of floats
        as arrays. They are packed while the file is read: a list of floats takes 32 bytes a number.

    Raises
    ------
    InputError
        If the pickle asks for anything else, nests deeper than `MAX_DEPTH` or within itself, or is damaged.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return Machine(data, path, pack).run()
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable pickle ({line_of(error)}); fetch it again") from None


def line_of(message: object) -> str:
    """Return a message on one line of bounded length; the name of an error that has none."""
    return " ".join(str(message).split())[:120] or type(message).__name__


class Import(NamedTuple):
    """A function that the pickle asks for, in its place."""

    module: str
    name: str


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


class Machine:
    """The stack machine: what it has read so far, and where in the file it is."""

    def __init__(self, data: mmap.mmap, path: Path, pack: bool) -> None:
        self.data = data
        self.path = path
        self.pack = pack
        self.position = 0
        self.end = len(data)
        self.stack: list[Any] = []  # above the last mark
        self.below: list[list[Any]] = []  # the stack below each mark
        self.memo: dict[int, Any] = {}
        self.rows: list[Row] = []  # of the memo
        self.n_memo = 0
        self.n_decoded = 0  # bytes made from others

    def run(self) -> Any:
        """Run to the end and return the content, checked."""
        while (code := self.byte()) != pickle.STOP[0]:
            if code in INSTRUCTIONS:
                INSTRUCTIONS[code](self)
            elif name := OTHERS.get(code):
                self.refuse(f"uses the instruction {name}")
            else:
                raise ValueError(f"no instruction {code}")
        (content,) = self.pop(1)
        self.check(content)
        return content

    def refuse(self, what: str) -> NoReturn:
        """Refuse the pickle."""
        raise InputError(
            f"{self.path}: refused, the pickle {what}, and a dictionary needs only numbers and text; get the file from "
            "its publisher"
        )

    def refuse_import(self, module: str, name: str) -> NoReturn:
        """Refuse the pickle for what it asks to import."""
        self.refuse(f"asks to import {line_of(module)}.{line_of(name)}")

    def check(self, content: Any) -> None:
        """Refuse content that is not plain: one level of containers after the other, each container once a level."""
        level: list[Any] = [(content,)]
        for _ in range(MAX_DEPTH + 1):
            level = list({id(item): item for container in level for item in no_atoms(container)}.values())
            for item in level:
                if type(item) is Import:
                    self.refuse_import(*item)
                if type(item) is NumberType:
                    self.refuse_import("numpy", "dtype")
        if level:
            self.refuse(f"nests deeper than {MAX_DEPTH}, or within itself")

    # Bytes

    def take(self, n_bytes: int) -> bytes:
        """Read as many bytes."""
        start = self.position
        if not 0 <= n_bytes <= self.end - start:
            raise EOFError(f"it announces {n_bytes} bytes where {self.end - start} are left")
        self.position = start + n_bytes
        return self.data[start : start + n_bytes]

    def byte(self) -> int:
        """Read one byte."""
        self.position += 1
        if self.position > self.end:
            raise EOFError("it ends too early")
        return self.data[self.position - 1]

    def next_is(self, instruction: bytes) -> bool:
        """Whether that instruction comes next."""
        return self.data[self.position : self.position + 1] == instruction

    def number(self, form: str) -> Any:
        """Read a number, in the struct module's language."""
        return struct.unpack(form, self.take(SIZES[form[1]]))[0]

    def sized(self, form: str) -> bytes:
        """Read bytes after their number."""
        return self.take(self.number(form))

    def text(self, n_bytes: int) -> str:
        """Read text of as many bytes."""
        return str(self.take(n_bytes), "utf-8", "surrogatepass")

    def integer(self, form: str) -> int:
        """Read a whole number of any size after its number of bytes."""
        return int.from_bytes(self.sized(form), "little", signed=True)

    def line(self) -> str:
        """Read to the end of the line."""
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise EOFError("it ends within a line")
        return str(self.take(end + 1 - self.position)[:-1], "raw-unicode-escape")

    def decimal(self) -> int:
        """Read a whole number, or a truth value, in decimals."""
        line = self.line()
        return line == "01" if line in ("00", "01") else int(line.removesuffix("L"))

    def literal(self) -> str:
        """Read the text of a Python 2 literal."""
        line = self.line()
        if len(line) < 2 or line[0] not in "'\"" or line[0] != line[-1]:
            raise ValueError("a text without quotes")
        return str(line[1:-1].encode("ascii").decode("unicode-escape").encode("latin1"), "ascii")

    def frame(self) -> None:
        """Read the length of the next part; the parts themselves mean nothing."""
        n_bytes, left = self.number("<Q"), self.end - self.position
        if n_bytes > left:
            raise EOFError(f"it announces {n_bytes} bytes where {left} are left")

    def protocol(self) -> None:
        """Read the protocol's number."""
        if (number := self.byte()) > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"protocol {number} is newer than this Python")

    # The stack

    def push(self, item: Any) -> None:
        """Put on the stack."""
        self.stack.append(item)

    def pop(self, n_items: int) -> tuple[Any, ...]:
        """Take from the stack."""
        if len(self.stack) < n_items:
            raise ValueError("it takes what it never made")
        items = tuple(self.stack[-n_items:])
        del self.stack[-n_items:]
        return items

    def top(self) -> Any:
        """Look at the top of the stack."""
        if not self.stack:
            raise ValueError("it takes what it never made")
        return self.stack[-1]

    def mark(self) -> None:
        """Begin to collect."""
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        """Take what was collected since the last mark."""
        if not self.below:
            raise ValueError("it takes what it never made")
        items, self.stack = self.stack, self.below.pop()
        return items

    def drop(self) -> None:
        """Take one thing away, be it a mark."""
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()

    def drop_to_mark(self) -> None:
        """Take away what was collected since the last mark."""
        self.to_mark()

    def remember(self, key: int) -> None:
        """Give the top of the stack a number, for later references."""
        self.n_memo += key not in self.memo
        self.memo[key] = self.top()

    def recall(self, key: int) -> None:
        """Put on the stack what has that number."""
        if key in self.memo:
            item = self.memo[key]
        else:
            place = bisect.bisect(self.rows, key, key=lambda row: row.first_key) - 1
            if place < 0 or key - self.rows[place].first_key >= self.rows[place].n_keys:
                raise ValueError(f"it refers to a thing number {key} that it never made")
            item = self.rows[place].recall(key)
        self.push(item)

    def recall_function(self, start: int, key: int) -> None:
        """Put on the stack what has that number; if it is numpy's function for numbers, all numbers that follow."""
        function = self.memo.get(key)
        if type(function) is not Import or FUNCTIONS[function] is not Machine.scalar or not self.numpy_floats(start):
            self.recall(key)

    def numpy_floats(self, start: int) -> bool:
        """Read floats of numpy whose instructions begin at `start` and repeat, and say whether there were several."""
        first = NUMPY_FLOAT.match(self.data, start)
        if not first or self.data[first.end() : first.end() + 2] != self.data[start : start + 2]:
            return False
        number_type = self.memo.get(int.from_bytes(first[1] or first[2], "little"))
        if type(number_type) is not NumberType or number_type.name != "f8":
            return False
        size = first.end() - start
        room = min((self.end - start) // size, MANY)
        records = np.frombuffer(self.data[start : start + room * size], np.uint8).reshape(room, size)
        content = slice(first.start(3) - start, first.end(3) - start)
        differs = records != records[0]
        differs[:, content] = False
        others = np.flatnonzero(differs.any(axis=1))
        n_floats = int(others[0]) if len(others) else room
        numbers = records[:n_floats, content].copy()
        self.stack.extend(numbers.view(f"{number_type.order}f8").ravel().tolist())
        self.rows.append(Row(self.n_memo, n_floats * NUMPY_FLOAT_MEMO, number_type, numbers))
        self.n_memo += n_floats * NUMPY_FLOAT_MEMO
        self.position = start + n_floats * size
        return True

    # Content

    def floats(self) -> None:
        """Read a float, with all that follow directly; pack them if a list is given them."""
        following = self.data[self.position + FLOAT - 1 : self.position + FLOAT]
        if following not in (pickle.BINFLOAT, pickle.FRAME):
            return self.push(self.number(">d"))
        parts = [self.some_floats()]
        while True:
            if self.next_is(pickle.FRAME):
                self.position += 1
                self.frame()
            if not self.next_is(pickle.BINFLOAT):
                break
            self.position += 1
            parts.append(self.some_floats())
        values = np.concatenate(parts)
        if self.pack and self.next_is(pickle.APPENDS):
            return self.push(Run(narrow(values)))
        return self.stack.extend(values.tolist())

    def some_floats(self) -> np.ndarray:
        """Read the float whose instruction was read, and those that follow without a gap, at most `MANY`."""
        start = self.position - 1
        room = min((self.end - start) // FLOAT, MANY)
        if not room:
            raise EOFError("it ends within a number")
        records = np.frombuffer(self.data[start : start + room * FLOAT], np.uint8).reshape(room, FLOAT)
        others = np.flatnonzero(records[:, 0] != pickle.BINFLOAT[0])
        n_floats = int(others[0]) if len(others) else room
        self.position = start + n_floats * FLOAT
        return records[:n_floats, 1:].copy().view(">f8").ravel()

    def append(self, items: list[Any]) -> None:
        """Append to the list on top."""
        target = self.top()
        if type(target) is not list:
            raise ValueError("it appends to what is no list")
        target.extend(items)

    def put(self, items: list[Any]) -> None:
        """Put keys and values, in turn, into the dictionary on top."""
        target = self.top()
        if type(target) is not dict or len(items) % 2:
            raise ValueError("it puts keys and values into what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # No nested tuples: their hash can take any time, or the process's whole stack.
            if type(key) not in KEYS and not (type(key) is tuple and KEYS.issuperset(map(type, key))):
                raise ValueError(f"a {type(key).__name__} as a key of a dictionary")
            target[key] = packed(value) if self.pack and type(value) is list else value

    def make_dict(self) -> None:
        """Make a dictionary of what was collected."""
        items = self.to_mark()
        self.push({})
        self.put(items)

    # Functions, decoded without being called

    def ask(self, module: Any, name: Any) -> None:
        """Put the stand-in of a function on the stack, or refuse it."""
        if type(module) is not str or type(name) is not str:
            raise ValueError("it asks for a function without a name")
        if (module, name) not in FUNCTIONS:
            self.refuse_import(module, name)
        self.push(Import(module, name))

    def call(self) -> None:
        """Put on the stack what a call would give."""
        function, arguments = self.pop(2)
        if type(function) is not Import or type(arguments) is not tuple:
            raise ValueError("it calls what is no function")
        self.push(FUNCTIONS[function](self, *arguments))

    def build(self) -> None:
        """Complete a numpy type or array."""
        target, state = self.pop(2)
        if type(target) is NumberType:
            target.set_state(state)
        elif type(target) is np.ndarray and not target.size:
            _, shape, number_type, _, content = state
            values = self.array(content, number_type, shape)
            # In place, because the empty array may have a number in the memo.
            target.__setstate__((1, values.shape, values.dtype, False, values.tobytes()))  # type: ignore[arg-type]
        else:
            raise ValueError("it completes what is no numpy type or array")
        self.push(target)

    def array(self, content: Any, number_type: Any, shape: Any, *_: Any) -> np.ndarray:
        """``numpy._core.numeric._frombuffer(bytes, dtype, shape, order)``."""
        if type(content) is not bytes or type(number_type) is not NumberType:
            raise ValueError("an array without type or content")
        self.spend(len(content))
        values = number_type.numbers(content, shape)
        return narrow(values) if self.pack and values.dtype.kind == "f" else values

    def empty_array(self, *_: Any) -> np.ndarray:
        """``numpy._core.multiarray._reconstruct(ndarray, (0,), b'b')``; `build` completes it."""
        return np.empty(0)

    def scalar(self, number_type: Any, content: Any) -> int | float:
        """``numpy._core.multiarray.scalar(dtype, bytes)``."""
        if type(number_type) is not NumberType:
            raise ValueError("a number without type")
        return number_type.number(content)

    def dtype(self, name: Any, *_: Any) -> NumberType:
        """``numpy.dtype('f8', False, True)``."""
        return NumberType(name)

    def bytes_of(self, text: Any, encoding: Any) -> bytes:
        """``_codecs.encode(text, 'latin1')``: bytes in protocols below 3."""
        if type(text) is not str or encoding != "latin1":
            raise ValueError("bytes that are not in latin1")
        self.spend(len(text))
        return text.encode("latin1")

    def no_bytes(self) -> bytes:
        """``bytes()``: no bytes, in protocols below 3."""
        return b""

    def not_called(self, *_: Any) -> NoReturn:
        """``numpy.ndarray``: named, but not called."""
        raise ValueError("it calls numpy.ndarray")

    def spend(self, n_bytes: int) -> None:
        """Count bytes made from others: a true pickle makes them at most twice, text to bytes and bytes to array."""
        self.n_decoded += n_bytes
        if self.n_decoded > 2 * self.end:
            raise ValueError("it decodes to far more than it holds")


def no_atoms(container: Any) -> Iterator[Any]:
    """Yield what is in a container and is no number, text, bytes or array; floats packed in a list are unpacked."""
    if type(container) is list and Run in set(map(type, container)):
        container[:] = [
            number for item in container for number in (item.values.tolist() if type(item) is Run else [item])
        ]
    items = container.values() if type(container) is dict else container
    if not ATOMS.issuperset(map(type, items)):
        yield from (item for item in items if type(item) not in ATOMS)


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


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): Machine.dtype,
    ("numpy", "ndarray"): Machine.not_called,
    ("_codecs", "encode"): Machine.bytes_of,
    ("__builtin__", "bytes"): Machine.no_bytes,
    ("builtins", "bytes"): Machine.no_bytes,
    # numpy._core since numpy 2
    **{(f"numpy.{core}.multiarray", "scalar"): Machine.scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Machine.empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Machine.array for core in ("core", "_core")},
}

BY_NAME: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: Machine.frame,
    # numbers
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.number("<i")),
    pickle.BININT1: lambda m: m.push(m.byte()),
    pickle.BININT2: lambda m: m.push(m.number("<H")),
    pickle.LONG1: lambda m: m.push(m.integer("<B")),
    pickle.LONG4: lambda m: m.push(m.integer("<i")),
    pickle.INT: lambda m: m.push(m.decimal()),
    pickle.LONG: lambda m: m.push(m.decimal()),
    pickle.BINFLOAT: Machine.floats,
    pickle.FLOAT: lambda m: m.push(float(m.line())),
    # text and bytes
    pickle.SHORT_BINUNICODE: lambda m: m.push(m.text(m.byte())),
    pickle.BINUNICODE: lambda m: m.push(m.text(m.number("<I"))),
    pickle.BINUNICODE8: lambda m: m.push(m.text(m.number("<Q"))),
    pickle.UNICODE: lambda m: m.push(m.line()),
    pickle.SHORT_BINSTRING: lambda m: m.push(str(m.take(m.byte()), "ascii")),
    pickle.BINSTRING: lambda m: m.push(str(m.sized("<i"), "ascii")),
    pickle.STRING: lambda m: m.push(m.literal()),
    pickle.SHORT_BINBYTES: lambda m: m.push(m.take(m.byte())),
    pickle.BINBYTES: lambda m: m.push(m.sized("<I")),
    pickle.BINBYTES8: lambda m: m.push(m.sized("<Q")),
    pickle.BYTEARRAY8: lambda m: m.push(m.sized("<Q")),
    # containers
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.push(m.pop(1)),
    pickle.TUPLE2: lambda m: m.push(m.pop(2)),
    pickle.TUPLE3: lambda m: m.push(m.pop(3)),
    pickle.TUPLE: lambda m: m.push(tuple(m.to_mark())),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.LIST: lambda m: m.push(m.to_mark()),
    pickle.APPEND: lambda m: m.append(list(m.pop(1))),
    pickle.APPENDS: lambda m: m.append(m.to_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.DICT: Machine.make_dict,
    pickle.SETITEM: lambda m: m.put(list(m.pop(2))),
    pickle.SETITEMS: lambda m: m.put(m.to_mark()),
    # the stack and its memo
    pickle.MARK: Machine.mark,
    pickle.POP: Machine.drop,
    pickle.POP_MARK: Machine.drop_to_mark,
    pickle.DUP: lambda m: m.push(m.top()),
    pickle.PUT: lambda m: m.remember(m.decimal()),
    pickle.BINPUT: lambda m: m.remember(m.byte()),
    pickle.LONG_BINPUT: lambda m: m.remember(m.number("<I")),
    pickle.MEMOIZE: lambda m: m.remember(m.n_memo),
    pickle.GET: lambda m: m.recall(m.decimal()),
    pickle.BINGET: lambda m: m.recall_function(m.position - 1, m.byte()),
    pickle.LONG_BINGET: lambda m: m.recall_function(m.position - 1, m.number("<I")),
    # functions
    pickle.GLOBAL: lambda m: m.ask(m.line(), m.line()),
    pickle.INST: lambda m: m.refuse_import(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.ask(*m.pop(2)),
    pickle.REDUCE: Machine.call,
    pickle.BUILD: Machine.build,
}
INSTRUCTIONS = {name[0]: instruction for name, instruction in BY_NAME.items()}
OTHERS = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes if ord(opcode.code) not in INSTRUCTIONS}

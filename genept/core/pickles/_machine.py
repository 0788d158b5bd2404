"""The stack machine of a pickle: content is made on the stack, functions are looked up and decoded."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from genept.core.errors import InputError
from genept.core.pickles._functions import FUNCTIONS, array, scalar
from genept.core.pickles._numpy import NUMPY_FLOAT, NUMPY_FLOAT_MEMO, NumberType, Row, Run, line_of, narrow, packed
from genept.core.pickles._reader import Reader
from genept.core.pickles._stack import Stack

MAX_DEPTH = 64  # of containers within containers
MANY = 1024  # floats looked at in one go
FLOAT = 1 + 8  # bytes: an instruction and its number

KEYS = frozenset({bool, bytes, float, int, str, type(None)})
ATOMS = KEYS | {np.ndarray}


class Import(NamedTuple):
    """A function that the pickle asks for, in its place."""

    module: str
    name: str


class Machine(Reader, Stack):
    """The machine: what it has read so far, and where in the file it is."""

    def __init__(self, data: mmap.mmap, path: Path, pack: bool) -> None:
        Reader.__init__(self, data)
        Stack.__init__(self)
        self.path = path
        self.pack = pack
        self.n_decoded = 0  # bytes made from others

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
            values = array(self, content, number_type, shape)
            # In place, because the empty array may have a number in the memo.
            target.__setstate__((1, values.shape, values.dtype, False, values.tobytes()))  # type: ignore[arg-type]
        else:
            raise ValueError("it completes what is no numpy type or array")
        self.push(target)

    def recall_function(self, start: int, key: int) -> None:
        """Put on the stack what has that number; if it is numpy's function for numbers, all numbers that follow."""
        function = self.memo.get(key)
        if type(function) is not Import or FUNCTIONS[function] is not scalar or not self.numpy_floats(start):
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

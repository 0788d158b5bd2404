"""The bytes of a pickle: where in the file the reading is, and what its instructions bring with them."""

from __future__ import annotations

import mmap
import pickle
import struct
from typing import Any

SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8, "i": 4, "d": 8}


class Reader:
    """A pickle's bytes, read from the beginning on. What is announced is compared with what is left."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.position = 0
        self.end = len(data)

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

"""Pickles of others, read without running anything.

A pickle is a program for a small stack machine, and one of its instructions calls any function of any module. Here
the machine is our own (instructions as in the standard library's ``pickletools``). It knows what plain content needs
(numbers, text, bytes, lists, tuples, dictionaries) and decodes the few functions that numpy's numbers and
one-dimensional arrays name; it imports nothing and refuses the rest. What a file announces is compared with what is
left of it before memory is taken, so that memory is bounded by a multiple of the file's size.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from genept.core.errors import InputError
from genept.core.pickles._instructions import run
from genept.core.pickles._machine import MAX_DEPTH, Machine
from genept.core.pickles._numpy import line_of, narrow

__all__ = ["MAX_DEPTH", "load", "narrow"]

# What reading a damaged pickle raises.
DAMAGE = (struct.error, EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError, OverflowError)


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
            return run(Machine(data, path, pack))
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable pickle ({line_of(error)}); fetch it again") from None

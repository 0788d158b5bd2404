"""Memory that is given back to the system as soon as it is freed."""

from __future__ import annotations

import contextlib
import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LIMIT = 8 << 20  # bytes
N_ARENAS = 2


def give_back() -> None:
    """Let every array of `LIMIT` bytes or more go back to the system when it is freed; nothing where there is no glibc.

    By itself glibc raises this limit up to 32 MB as such arrays are freed. Blocks of cells are then put between other
    content of its heap, which keeps their room: 0.3 GB while parts of a large dataset are written.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LIMIT)


def share_arenas() -> None:
    """Let threads share a few heaps: of many, each keeps what its thread has freed, 0.2 GB while parts are read."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, N_ARENAS)

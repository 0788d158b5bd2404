"""Vectors that were paid for, kept on disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import diskcache
import numpy as np

from genept.core.errors import InputError


class BytesDisk(diskcache.Disk):
    """Values of a cache that are bytes; a pickle in their place is not loaded."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        """Return a value."""
        if mode == diskcache.core.MODE_PICKLE:
            raise sqlite3.DatabaseError("a value is no vector")
        return super().fetch(mode, filename, value, read)


class VectorCache:
    """Vectors that were paid for, by key: float32 in a diskcache without eviction, on disk before `write` returns.

    Raises
    ------
    InputError
        If the cache is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = {"eviction_policy": "none", "cull_limit": 0, "sqlite_synchronous": 2}
        with self.explained():
            self.cache = diskcache.Cache(str(folder), disk=BytesDisk, **settings)

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an error of the database into one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(
                f"{self.folder}: the cache of paid vectors is damaged or locked ({error}); move it away, or repair it "
                "with sqlite3's .recover"
            ) from None

    def read(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return those of the vectors that are there, each of shape (n_dimensions,)."""
        with self.explained():
            found = {key: self.cache.get(key, retry=True) for key in keys}
        return {key: np.frombuffer(value, dtype="<f4") for key, value in found.items() if value}

    def write(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors, all of them or none."""
        with self.explained(), self.cache.transact(retry=True):
            for key, vector in vectors.items():
                self.cache.set(key, vector.astype("<f4").tobytes(), retry=True)

"""Text files that may be compressed, read without unpacking more than a table can hold.

What a file of a few hundred kilobytes unpacks to may fill the memory. Tables of counts compress at most some 50 times,
so a file that unpacks to more than 250 times its size is none; a small one may, up to 64 MiB.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from genept.core.errors import InputError

MAX_RATIO = 250  # as in genept.downloads, of archives
AT_ONCE = 1 << 20
SLACK = 64 << 20  # a small file of zeros does no harm
COMPRESSIONS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Bounded(io.RawIOBase):
    """The unpacked bytes of a file, of which no more than `limit` can be read."""

    def __init__(self, stream: IO[bytes], path: Path, limit: int) -> None:
        self.stream, self.path, self.limit, self.n_bytes = stream, path, limit, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; return how many."""
        content = self.stream.read(len(buffer))
        self.n_bytes += len(content)
        if self.n_bytes > self.limit:
            raise InputError(
                f"{self.path}: unpacks to more than {self.limit >> 20} MiB, over {MAX_RATIO} times its size; no table "
                "of counts does; if it is one, unpack it and name the unpacked file in params.yaml"
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file, too."""
        self.stream.close()
        super().close()


def opened(path: Path) -> IO[bytes]:
    """Open a file that may be compressed, as its ending says, for reading what it unpacks to."""
    if path.suffix not in COMPRESSIONS:
        return path.open("rb")
    limit = SLACK + MAX_RATIO * path.stat().st_size
    return io.BufferedReader(Bounded(COMPRESSIONS[path.suffix](path, "rb"), path, limit), AT_ONCE)

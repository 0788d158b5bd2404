"""HDF5 files of others: nothing that is read may leave the file, and nothing may declare more than the file can hold.

HDF5 follows links to other files, keeps values in other files (external storage) and shows those of others as its own
(virtual datasets): the bytes of any file of this machine would become counts, and the file's sha256 would not tell.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from genept.core import files
from genept.core.errors import InputError

MAX_RATIO = 1100  # times its bytes on disk that an array may unpack to; gzip, HDF5's own compression, reaches 1,032
SLACK = 64 << 20  # a small array of zeros does no harm
HEAP = b"GCOL\x01\0\0\0"  # begins a collection of texts in an HDF5 file
WHOLE: set[tuple[int, ...]] = set()  # files whose collections of texts were found to be
TEXTS_AT_ONCE = 10, 10_000  # the fewest and most texts read to add up their lengths


@contextlib.contextmanager
def opened(path: Path, mode: str = "r", title: Path | None = None, again: str = "") -> Iterator[h5py.File]:
    """Open a file that keeps all it has in itself; messages call it `title` and end in how to get it `again`.

    `InputError` if it does not, or if it is damaged or something else, also where that is found while it is read.
    """
    title = title or path
    files.require_file(path)
    with explained(title, again), h5py.File(path, mode) as file:
        require_whole_heaps(path, title)
        require_contained(file, title)
        yield file


@contextlib.contextmanager
def explained(path: Path, again: str = "") -> Iterator[None]:
    """Turn what libraries raise on a file that is not what it should be, nearly anything, into one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:  # the system's own, which the stage explains
            raise
        if "No space left on device" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path)) from None
        is_damaged = isinstance(error, OSError | zipfile.BadZipFile | zlib.error)
        what = "damaged, cut short or not a file of cells" if is_damaged else "no valid file of cells"
        rewrite = "write it again, or fetch it again if it was cut short or altered"
        advice = again or ("remove it and fetch it again" if is_damaged else rewrite)
        raise InputError(f"{path}: {what} ({one_line(error)}); {advice}") from None


def one_line(error: Exception) -> str:
    """Return the reason of an error, of a `KeyError` what is not there, and where anndata met it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if type(error) is KeyError:
        text = text.strip("'\"") if " " in text else f"no {text}"
    where = re.search("reading key ('.*?') of .* from (\\S+)", " ".join(getattr(error, "__notes__", [])))
    return f"{where[1]} of {where[2]}: {text[:200]}" if where else text[:200]


def walk(group: h5py.Group) -> Iterator[tuple[str, int, Any]]:
    """Give the name, the kind of link and the object of each link within a group, of links that are not hard None.

    Every object comes once and no soft link is followed: these lead to a place where another link leads, too. Without
    recursion, since the groups of a small file can be nested 100,000 deep.
    """
    groups, seen = [group.id], set()
    while groups:
        parent = groups.pop()
        for name in parent:
            kind, stored = parent.links.get_info(name).type, None
            if kind == h5py.h5l.TYPE_HARD:
                stored = h5py.h5o.open(parent, name)
                address = h5py.h5o.get_info(stored).addr
                if address in seen:
                    continue
                seen.add(address)
                groups += [stored] if isinstance(stored, h5py.h5g.GroupID) else []
            yield name.decode("utf-8", "replace"), kind, stored


def require_whole_heaps(path: Path, title: Path) -> None:
    """Refuse collections of texts whose sizes do not add up: at an entry of size 0, HDF5 itself would never end.

    See "Global Heap" in the HDF5 file format specification, version 3: a collection has a size, and entries one behind
    the other, each with 16 bytes of header; entry 0 is the free rest, its size being that of header and rest. It takes
    a look at every byte, so a file that was whole and has not been changed since is not looked at again.
    """
    status = path.stat()
    n_bytes, identity = status.st_size, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if identity in WHOLE:
        return
    with path.open("rb") as stream:
        for at in places(stream, HEAP):
            stream.seek(at + 8)
            end = at + int.from_bytes(stream.read(8), "little")
            entry = at + 16
            while entry + 16 <= min(end, n_bytes):
                stream.seek(entry)
                number, _, _, length = struct.unpack("<HHIQ", stream.read(16))
                step = length if number == 0 else 16 + -(-length // 8) * 8
                if step < 16 or entry + step > end:
                    raise InputError(f"{title}: damaged, a collection of its texts is not whole; fetch it again")
                entry += step
    WHOLE.add(identity)


def places(stream: BinaryIO, pattern: bytes) -> Iterator[int]:
    """Yield where a pattern begins in a file, which is read in pieces; the caller may read elsewhere meanwhile."""
    start, rest = 0, b""
    while piece := stream.read(files.CHUNK):
        content = rest + piece
        found = content.find(pattern)
        while found >= 0:
            yield start - len(rest) + found
            found = content.find(pattern, found + len(pattern))
        start += len(piece)
        rest = content[-(len(pattern) - 1) :]
        stream.seek(start)


def require_contained(file: h5py.File, path: Path) -> None:
    """Refuse links to other files, values that other files hold, and bytes before the HDF5 content."""
    found = "it begins with bytes that are not HDF5" if file.userblock_size else ""
    for name, kind, stored in walk(file):
        if kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            found = f"{name} is a link to another file"
        elif isinstance(stored, h5py.h5d.DatasetID):
            creation = stored.get_create_plist()
            if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
                found = f"the values of {name} are in another file"
        if found:
            raise InputError(f"{path}: refused, {found}; write all that belongs to it into one file, by anndata")


def arrays(group: h5py.Group) -> list[h5py.Dataset]:
    """Return all datasets within a group."""
    return [h5py.Dataset(stored) for _, _, stored in walk(group) if isinstance(stored, h5py.h5d.DatasetID)]


def n_declared(array: Any) -> int:
    """Return the bytes that an array of HDF5 or zarr takes in memory, or one of its chunks if that is larger."""
    chunks = getattr(array, "chunks", None) or ()
    return max(math.prod(array.shape or ()), math.prod(chunks)) * max(1, array.dtype.itemsize)


def require_size(declared: Iterable[Any], n_bytes: int, path: Path, what: str, is_whole: bool = True) -> None:
    """Refuse arrays that together declare more than `n_bytes` of a file can hold or, read whole, than memory has."""
    total, limit = sum(map(n_declared, declared)), SLACK + MAX_RATIO * n_bytes
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > limit:
        raise InputError(
            f"{path}: refused, {what} declares {total / 1e6:,.0f} MB, more than the {n_bytes / 1e6:,.3f} MB that are "
            "stored of it can hold; write the file again"
        )
    if is_whole and total > memory:
        raise InputError(
            f"{path}: {what} takes {total / 1e9:,.0f} GB of memory and this machine has {memory / 1e9:,.0f}; give "
            "fewer cells or genes"
        )


def require_texts(group: h5py.Group, n_bytes: int, path: Path) -> None:
    """Refuse texts of any length that together are longer than the `n_bytes` of a file: one may be named often."""
    total, (least, most) = 0, TEXTS_AT_ONCE
    at_once = min(most, max(least, SLACK // max(1, n_bytes)))
    for array in arrays(group):
        kind = h5py.check_string_dtype(array.dtype)
        if kind and kind.length is None and array.ndim == 1:
            for first in range(0, array.size, at_once):
                total += sum(map(len, array[first : first + at_once]))
                if total > SLACK + n_bytes:  # HDF5 does not compress them
                    raise InputError(f"{path}: refused, its texts are longer than the file; write the file again")

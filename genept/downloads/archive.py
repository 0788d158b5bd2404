"""Members of archives that came from elsewhere: tar (also compressed), zip, or a file that is compressed alone.

No name in an archive is ever used as a path: each member is written where the caller says. Links, devices and folders
are refused, and what an archive may unpack to is bounded.
"""

from __future__ import annotations

import bz2
import contextlib
import difflib
import errno
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from genept.core import files
from genept.core.errors import InputError, NotFoundAtSource

MAX_BYTES = 64 << 30  # what one archive may unpack to
MAX_RATIO = 250  # and how many times its own size; tables of counts compress at most some 50 times
SLACK = 64 << 20  # a small archive of zeros is no bomb
MAX_MEMBERS = 100_000
MAX_READ = 16 << 20  # a tar header that wants more in one piece is not one

COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error)
NONSENSE = (ValueError, OverflowError, RecursionError)  # what headers of nonsense lead to
NOT_THE_DISK = (None, errno.EINVAL)  # of an OSError: data that does not unpack, a place before the file's beginning
UNPACK = "unpack it and use `kind: local`"


class Damaged(InputError):
    """An archive cannot be read."""


def extract(archive: Path, name: str, members: Mapping[Path, str]) -> None:
    """Write members of an archive to files; its content says of which kind it is.

    Parameters
    ----------
    name
        What messages call the archive. Of a file that is compressed alone, the member is `name` without ``.gz``.
    members
        The member for each file to write. Its path may begin in any folder if only one member's path ends with it.

    Raises
    ------
    InputError
        `Damaged` if it cannot be read, `NotFoundAtSource` if it has no such member; or if the member is no file, or
        unpacks to too much.
    """
    limit = min(MAX_BYTES, SLACK + MAX_RATIO * archive.stat().st_size)
    with archive.open("rb") as stream:
        start = stream.read(8)
    compression = next((opener for magic, opener in COMPRESSIONS.items() if start.startswith(magic)), None)
    with readable(name):
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            extract_from_zip(archive, name, members, limit)
            return
        with (compression or open)(archive, "rb") as stream:
            bounded = Bounded(stream, name, limit)
            if is_tar(bounded):
                extract_from_tar(bounded, name, members)
            elif compression:
                for target, member in members.items():
                    bounded.seek(0)
                    copy(bounded, target)
                    resolve([PurePosixPath(name).stem], member, name)  # now that it is known to be whole
            else:
                raise InputError(f"{name}: neither a tar, nor a zip, nor a gz file; remove `member` from the settings")


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what the libraries raise on broken archives into one line."""
    try:
        yield
    except NotImplementedError:
        raise InputError(f"{name}: its compression is not known here; {UNPACK}") from None
    except (*DAMAGE, *NONSENSE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_THE_DISK:
            raise
        reason = " ".join(str(error).split())[:100]
        raise Damaged(f"{name}: damaged ({reason}); run again: it is downloaded anew") from None


class Bounded:
    """A stream of unpacked bytes, as `tarfile` needs it, that does not go beyond `limit`."""

    def __init__(self, stream: IO[bytes], name: str, limit: int) -> None:
        self.stream, self.name, self.limit = stream, name, limit
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`."""
        with readable(self.name):  # here, for `tarfile` takes errors of a stream for an archive's end
            if not 0 <= size <= MAX_READ:
                raise ValueError(f"a header of {size} bytes")
            content = self.stream.read(size)
        check_size(self.name, self.tell(), self.limit)
        return content

    def seek(self, offset: int) -> None:
        """Go to a byte, forwards by unpacking what is between in pieces."""
        check_size(self.name, offset, self.limit)
        with readable(self.name):
            self.stream.seek(offset)


def is_tar(stream: Bounded) -> bool:
    """Whether a stream begins with the header of a tar."""
    block = stream.read(tarfile.BLOCKSIZE)
    stream.seek(0)
    with contextlib.suppress(tarfile.TarError):
        return bool(tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape"))
    return False


def extract_from_tar(stream: Bounded, name: str, members: Mapping[Path, str]) -> None:
    """Write members of a tar; of two with one name, the later one counts, as everywhere."""
    infos: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
        for count, info in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise InputError(f"{name}: has more than {MAX_MEMBERS:,} members; {UNPACK}")
            infos[str(PurePosixPath(info.name))] = info
        while stream.read(files.CHUNK):
            pass  # the checksum of what is compressed comes at its end
        chosen = {target: infos[resolve(infos, member, name)] for target, member in members.items()}
        for target, info in sorted(chosen.items(), key=lambda item: item[1].offset_data):
            check_file(info.isreg(), name, info.name)
            check_size(name, info.size, stream.limit)
            copy(archive.extractfile(info), target)


def extract_from_zip(path: Path, name: str, members: Mapping[Path, str], limit: int) -> None:
    """Write members of a zip."""
    with zipfile.ZipFile(path) as archive:
        infos = {str(PurePosixPath(info.filename)): info for info in archive.infolist()}
        chosen = {target: infos[resolve(infos, member, name)] for target, member in members.items()}
        check_size(name, sum(info.file_size for info in chosen.values()), limit)
        for target, info in chosen.items():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the zip was not made on Unix
            check_file(not info.is_dir() and kind in (0, stat.S_IFREG), name, info.filename)
            if info.flag_bits & 1:
                raise InputError(f"{name}: its member {info.filename} has a password; {UNPACK}")
            copy(archive.open(info), target)


def copy(content: Any, target: Path) -> None:
    """Write a stream to a file."""
    with target.open("wb") as output:
        shutil.copyfileobj(content, output, files.CHUNK)


def check_file(is_file: bool, name: str, member: str) -> None:
    """Refuse a member that is a link, a folder or a device."""
    if not is_file:
        raise InputError(f"{name}: its member {member!r} is a link, a folder or a device, not a file; name a file")


def check_size(name: str, n_bytes: int, limit: int) -> None:
    """Refuse to unpack more than the limit."""
    if n_bytes > limit:
        raise InputError(f"{name}: unpacks to more than {limit / 1e6:,.0f} MB; if that is right, {UNPACK}")


def resolve(names: Collection[str], member: str, archive: str) -> str:
    """Return the name of a member as the archive has it; if there is none, `NotFoundAtSource` names the nearest."""
    wanted = str(PurePosixPath(member))
    if wanted in names:
        return wanted
    deeper = [name for name in names if name.endswith(f"/{wanted}")]
    if len(deeper) == 1:
        return deeper[0]
    same = deeper or [name for name in names if PurePosixPath(name).name == PurePosixPath(wanted).name]
    near = same[:3] or difflib.get_close_matches(wanted, names, n=3) or list(names)[:3]
    none = f"{archive}: has no member {member!r}"
    raise NotFoundAtSource(none + (f"; the nearest: {', '.join(map(repr, near))}" if near else ""), none)

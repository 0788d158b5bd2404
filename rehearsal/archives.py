"""Archives in memory, with the same bytes for the same members."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

EPOCH = 1_700_000_000


def pack(name: str, members: Mapping[str, bytes]) -> bytes:
    """Return the archive that the end of `name` says: tar, tar.gz, zip, or one file compressed alone."""
    if name.endswith(".zip"):
        return zipped(members)
    if name.endswith((".tar.gz", ".tgz")):
        return gzip.compress(tarred(members), 1, mtime=0)
    if name.endswith(".gz") and len(members) == 1:
        return gzip.compress(next(iter(members.values())), mtime=0)
    if name.endswith(".tar"):
        return tarred(members)
    raise ValueError(f"{name}: no archive that is known here")


def tarred(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), EPOCH
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in dict.fromkeys(f"{name.rpartition('/')[0]}/" for name in members if "/" in name):
            archive.writestr(zipfile.ZipInfo(folder, (2024, 3, 1, 12, 0, 0)), b"")
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2024, 3, 1, 12, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return stream.getvalue()

"""Archives made in memory."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import Any


def tar(content: dict[str, Any], mode: str = "w") -> bytes:
    """Write a tar of files and, where a value is a `TarInfo`, of anything."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, value in content.items():
            info = value if isinstance(value, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(value, bytes):
                info.size = len(value)
                archive.addfile(info, io.BytesIO(value))
            else:
                archive.addfile(info)
    return stream.getvalue()


def zipped(content: dict[Any, Any], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip of files, named or described."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return stream.getvalue()
